import Core
import Foundation
import PlainClient
import Wire

/// Tells threads of a test that they may end.
final class Load: Sendable {
    private let stopped = Locked(false)

    var isStopped: Bool { self.stopped.current }

    func stop() {
        self.stopped.withLock { $0 = true }
    }
}

/// Publishes as one producer until it is stopped, by the rules of the protocol: whatever happens,
/// it goes on from what it knows to be stored. Payloads are `name:sequence:`.
struct LoadPublisher: Sendable {
    struct Summary: Sendable {
        /// Of the newest event that was answered.
        var acknowledged: UInt64 = 0
        var connections = 0
        var failures = 0
        var duplicates: UInt64 = 0
    }

    let name: String
    let address: Address
    let load: Load
    /// Requests under way at once.
    var window = 4
    /// Events of a request, at most.
    var batch: UInt64 = 5

    func start() -> Worker<Summary> {
        Worker("publisher \(self.name)") { try self.run() }
    }

    private struct Sent {
        let stream: StreamID
        let last: UInt64
    }

    private func run() throws -> Summary {
        var summary = Summary()
        while !self.load.isStopped {
            do {
                let client = try TestClient(self.address, name: self.name)
                summary.connections += 1
                try self.publish(client, &summary)
            } catch let failure as Failure {
                try self.expectTrouble(failure)
                summary.failures += 1
                usleep(10_000)
            }
        }
        return summary
    }

    /// Until the connection breaks or the load is stopped.
    private func publish(_ client: TestClient, _ summary: inout Summary) throws {
        // Both ways are allowed after a break: to ask, or to send again what was not answered.
        if summary.connections % 2 == 0 {
            let known = try client.producer(self.name).sequence
            guard known >= summary.acknowledged else {
                throw Problem(
                    "\(self.name): \(summary.acknowledged) was answered, but \(known) is stored")
            }
            summary.acknowledged = known
        }
        var next = summary.acknowledged + 1
        var sent: [Sent] = []
        while true {
            while sent.count < self.window, !self.load.isStopped {
                let count = UInt64.random(in: 1...self.batch)
                let events = (next..<next + count).map {
                    Event("load.\(self.name).\($0 % 7)", "\(self.name):\($0):")
                }
                let request = try client.publishRequest(
                    events, producer: self.name, sequence: next)
                next += count
                sent.append(Sent(stream: try client.client.sendRequest(request), last: next - 1))
            }
            guard let first = sent.first else { return }
            sent.removeFirst()
            switch try client.answer(to: first.stream) {
            case .success(.publish(let reply)):
                summary.acknowledged = first.last
                summary.duplicates += UInt64(reply.duplicates)
            case .success(let other):
                throw Problem("\(self.name): a publish was answered by \(other)")
            case .failure(let failure):
                try self.expectTrouble(failure)
                summary.failures += 1
                try self.passOver(&sent, client)
                // Nothing after it may be stored before it is: it is sent again.
                next = summary.acknowledged + 1
                usleep(10_000)
            }
        }
    }

    /// What was under way behind a failed request must fail as well.
    private func passOver(_ sent: inout [Sent], _ client: TestClient) throws {
        for later in sent {
            guard case .failure(let failure) = try client.answer(to: later.stream) else {
                throw Problem(
                    "\(self.name): up to \(later.last) was stored although a request before it "
                        + "had failed")
            }
            try self.expectTrouble(failure)
        }
        sent = []
    }

    /// Trouble is expected; anything else is a bug.
    private func expectTrouble(_ failure: Failure) throws {
        switch failure.code {
        case .unavailable, .resourceExhausted, .aborted, .draining: break
        default: throw Problem("\(self.name): \(failure)")
        }
    }
}
