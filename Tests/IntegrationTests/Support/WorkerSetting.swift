import DormouseClient
import EventWorker
import Foundation

typealias DatabaseWorker = EventWorker.Worker
typealias WorkerDatabase = EventWorker.Database

/// A worker's world: an exchange of its own, a database of its own, and an observer that writes down
/// what it is given.
final class WorkerSetting: Sendable {
    let exchange: String
    let database: Database
    let uri: String

    init() throws {
        self.exchange = try SharedServer.connect().exchange
        self.database = try Cluster.shared().makeDatabase()
        self.uri = try SharedServer.server().uri()
    }

    func options(_ name: String = "ledger", attemptsMax: Int = 3) -> WorkerOptions {
        var options = WorkerOptions(
            name: name, exchange: self.exchange, server: self.uri,
            database: self.database.conninfo, schema: "ledger")
        options.limits.attemptsMax = attemptsMax
        options.limits.retry = BackOff(first: 1, most: 20)
        options.limits.rest = BackOff(first: 1, most: 50)
        options.limits.lookMilliseconds = 20
        return options
    }

    /// Keys and payloads, `key=payload`.
    @discardableResult
    func publish(_ events: String...) throws -> UInt64 {
        let client = try BlockingClient(self.uri, options: ["exchange": self.exchange])
        return try client.publish(
            events.map { text in
                let parts = text.split(separator: "=", maxSplits: 1)
                return Event(key: String(parts[0]), String(parts[1]))
            }
        ).last
    }

    /// Payloads in the order in which they were applied.
    func applied(schema: String = "ledger") throws -> [String] {
        try self.database.query("SELECT payload FROM \(schema).entry ORDER BY number")
            .split(separator: "\n").map(String.init)
    }

    func position(_ name: String = "ledger") throws -> Int {
        try self.database.number("SELECT position FROM ledger.worker WHERE name = '\(name)'")
    }

    /// Events that are set aside, as `payload state attempts`.
    func aside() throws -> [String] {
        try self.database.query(
            """
            SELECT convert_from(payload, 'UTF8') || ' ' || state || ' ' || attempts
            FROM ledger.worker_aside ORDER BY position
            """
        ).split(separator: "\n").map(String.init)
    }

    func asideEvents() throws -> AsideEvents {
        AsideEvents(try WorkerDatabase(self.database.conninfo, schema: "ledger"))
    }

    func start(_ options: WorkerOptions, _ ledger: Ledger = Ledger()) throws -> RunningWorker {
        let worker = try RunningWorker(options, ledger)
        // Its tables are there from here on, and its row.
        try eventually("the worker has begun", seconds: 60) {
            try worker.check()
            let row =
                "SELECT DISTINCT 1 FROM \(options.schema).worker WHERE name = '\(options.name)'"
            return (try? self.database.query(row)) == "1"
        }
        return worker
    }
}

/// Writes each payload down, and does what some of them ask for.
struct Ledger: Observer {
    /// Whether `broken` can be applied now.
    let isMended = Locked(false)
    /// Attempts at `busy`.
    let busyCount = Locked(0)
    /// Payloads of what was no replay.
    let effects = Locked<[String]>([])

    /// What the header `order` says, or the key.
    func orderingKey(of event: Event) -> String {
        let order = event.headers.first { $0.name == "order" }
        return order.map { String(decoding: $0.value, as: UTF8.self) } ?? event.key
    }

    func prepare(_ database: WorkerDatabase) throws {
        try database.executeAll(
            "CREATE TABLE IF NOT EXISTS entry (number bigserial PRIMARY KEY, payload text NOT NULL)"
        )
    }

    func apply(_ events: [Event], in transaction: Transaction) throws {
        for event in events {
            let text = event.text
            if text == "broken", !self.isMended.current { throw Problem("it is broken") }
            if text == "busy", !self.isMended.current {
                // As when it has lost against another transaction.
                self.busyCount.withLock { $0 += 1 }
                try transaction.execute(
                    "DO $$ BEGIN RAISE EXCEPTION 'busy' USING ERRCODE = '40001'; END $$")
            }
            if text == "refused" { try transaction.execute("SELECT 1 / 0") }
            if text == "slow" { try transaction.execute("SELECT pg_sleep(60)") }
            if text == "many" {
                try transaction.execute("SELECT 1", Array(repeating: .integer(1), count: 70_000))
            }
            if text == "copy" { try transaction.execute("COPY entry FROM STDIN") }
            if text == "zero" { try transaction.execute("SELECT $1::text", [.text("a\0b")]) }
            if text == "hidden" {
                do { try transaction.execute("SELECT 1 / 0") } catch {}
                continue
            }
            if text.hasPrefix("passed:") {
                let cause = String(text.dropFirst(7))
                let rows = try transaction.execute(
                    "SELECT 1 FROM entry WHERE payload = $1", [.text(cause)])
                if rows.count == 0 { throw CauseMissing("'\(cause)' is late", holdsKey: false) }
            }
            if text.hasPrefix("after:") {
                let cause = String(text.dropFirst(6))
                let rows = try transaction.execute(
                    "SELECT 1 FROM entry WHERE payload = $1", [.text(cause)])
                if rows.count == 0 { throw CauseMissing("'\(cause)' has not come yet") }
            }
            if text == "misspelt" {
                try transaction.publish(Event(key: "no key", "x"), because: event)
            }
            if text.hasPrefix("tellall:") {
                let exchange = String(text.dropFirst(8))
                for number in 1...9 {
                    let large = String(repeating: "\(number)", count: 900_000)
                    try transaction.publish(
                        Event(key: "told", large), because: event, exchange: exchange)
                }
            }
            if text.hasPrefix("tell:") {
                try transaction.publish(
                    Event(key: "told", String(text.dropFirst(5))), because: event)
            }
            if !transaction.isReplay(event) { self.effects.withLock { $0.append(text) } }
            try transaction.execute("INSERT INTO entry (payload) VALUES ($1)", [.text(text)])
        }
    }
}

/// A worker on a thread of its own.
final class RunningWorker {
    let stop: StopSignal
    private let thread: Worker<Void>
    private let lines = Locked<[String]>([])

    init(_ options: WorkerOptions, _ ledger: Ledger) throws {
        let stop = try StopSignal()
        self.stop = stop
        let lines = self.lines
        var options = options
        options.log = { line in lines.withLock { $0.append(line) } }
        let logging = options
        self.thread = Worker("the worker") {
            try DatabaseWorker(logging, ledger, until: stop).run()
        }
    }

    deinit { self.stop.raise() }

    func check() throws { try self.thread.check() }

    /// Whether a line of its log has this text.
    func logged(_ text: String) -> Bool { self.lines.current.contains { $0.contains(text) } }

    /// Ends it; throws what it threw.
    func end() throws {
        self.stop.raise()
        try self.thread.join()
    }

    /// Waits until it ends by itself, and returns why.
    func reason() throws -> WorkerError {
        do {
            try self.thread.join()
        } catch let error as WorkerError {
            return error
        }
        throw Problem("the worker ended without a reason")
    }
}
