import Core
import Foundation
import PlainClient

/// What must be true of a log whatever happened to the server and to Postgres.
struct LogCheck {
    let head: UInt64
    /// Payload and key of each event, by position.
    private let events: [UInt64: (key: String, payload: String)]

    /// Reads the log with SQL and checks that positions are dense.
    init(_ database: Database) throws {
        let head = try database.number(
            "SELECT head FROM dormouse.exchange WHERE name = 'main'")
        let holes = try database.query(
            """
            SELECT position, expected FROM (
                SELECT position, lag(position + count, 1, 1::bigint) OVER (ORDER BY position)
                    AS expected
                FROM dormouse.chunk WHERE exchange_id = 1) c
            WHERE position <> expected
            """)
        guard holes.isEmpty else { throw Problem("holes in the chunks: \(holes)") }
        let end = try database.number(
            "SELECT coalesce(max(position + count - 1), 0) FROM dormouse.chunk")
        guard end == head else { throw Problem("the head is \(head), the chunks end at \(end)") }
        var events: [UInt64: (key: String, payload: String)] = [:]
        let text = try database.query(
            "SELECT position, key, convert_from(payload, 'UTF8') FROM dormouse.events")
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "|", omittingEmptySubsequences: false)
            guard fields.count == 3, let position = UInt64(fields[0]) else {
                throw Problem("an event reads '\(line)'")
            }
            guard
                events.updateValue(
                    (String(fields[1]), String(fields[2])), forKey: position) == nil
            else { throw Problem("two events have the position \(position)") }
        }
        guard events.count == head else {
            throw Problem("the head is \(head), and there are \(events.count) events")
        }
        self.head = UInt64(head)
        self.events = events
    }

    /// Everything that was answered is there, once, in order.
    func expect(_ summary: LoadPublisher.Summary, of name: String) throws {
        var last: UInt64 = 0
        for position in 1...max(1, self.head) {
            guard let payload = self.events[position]?.payload, payload.hasPrefix("\(name):")
            else { continue }
            let sequence = UInt64(payload.split(separator: ":")[1]) ?? 0
            guard sequence == last + 1 else {
                throw Problem("\(name): \(sequence) at \(position) follows \(last)")
            }
            last = sequence
        }
        guard last >= summary.acknowledged else {
            throw Problem("\(name): \(summary.acknowledged) was answered, \(last) is stored")
        }
    }

    /// The subscriber saw every event that matches, and nothing else.
    func expect(
        _ summary: LoadSubscriber.Summary, of name: String, matching: (String) -> Bool
    ) throws {
        let expected = self.events.filter { matching($0.value.key) }
        guard summary.seen.count == expected.count else {
            throw Problem("\(name) saw \(summary.seen.count) of \(expected.count) events")
        }
        for (position, event) in expected where summary.seen[position] != event.payload {
            throw Problem("\(name) saw something else at \(position) than \(event.payload)")
        }
    }
}

/// Two publishers and two subscribers, one of which gets half of the events.
final class LoadGroup {
    private let load = Load()
    private let address: Address
    private let publishers: [(name: String, worker: Worker<LoadPublisher.Summary>)]
    private let subscribers: [(load: LoadSubscriber, worker: Worker<LoadSubscriber.Summary>)]

    init(_ address: Address) {
        self.address = address
        let load = self.load
        self.publishers = ["one", "two"].map { name in
            (name, LoadPublisher(name: name, address: address, load: load).start())
        }
        self.subscribers = [("everything", []), ("half", ["load.one.#"])].map { name, patterns in
            let subscriber = LoadSubscriber(
                name: name, patterns: patterns, address: address, load: load)
            return (subscriber, subscriber.start())
        }
    }

    /// Stops the threads of a test that failed.
    deinit {
        self.load.stop()
        for (subscriber, _) in self.subscribers { subscriber.target.withLock { $0 = 0 } }
    }

    /// Throws what a thread threw.
    func check() throws {
        for (_, worker) in self.publishers { try worker.check() }
        for (_, worker) in self.subscribers { try worker.check() }
    }

    /// Stops publishing, waits until everything was delivered, and checks it. The server must run.
    func finish(_ database: Database, _ test: String) throws {
        self.load.stop()
        let published = try self.publishers.map { ($0.name, try $0.worker.join()) }
        // What was answered UNAVAILABLE may still be written, but not after this.
        try eventually("a publish is answered", seconds: 60) {
            (try? TestClient(self.address).publish("settled", "")) != nil
        }
        let head = try database.number("SELECT head FROM dormouse.exchange WHERE name = 'main'")
        for (subscriber, _) in self.subscribers {
            subscriber.target.withLock { $0 = UInt64(head) }
        }
        let received = try self.subscribers.map { ($0.load, try $0.worker.join()) }
        let check = try LogCheck(database)
        var report = "\(test): \(head) events"
        for (name, summary) in published {
            try check.expect(summary, of: name)
            report += "; \(name): \(summary.connections) connections, \(summary.failures) failures,"
            report += " \(summary.duplicates) duplicates"
        }
        for (subscriber, summary) in received {
            let isWhole = subscriber.patterns.isEmpty
            try check.expect(summary, of: subscriber.name) {
                isWhole || $0.hasPrefix("load.one.")
            }
            report += "; \(subscriber.name): \(summary.connections) connections,"
            report += " \(summary.redelivered) redelivered"
        }
        print(report)
    }
}
