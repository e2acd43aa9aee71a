import Core
import Foundation
import PlainClient
import Wire

/// Subscribes again whenever its connection breaks, acknowledges, and checks everything that comes.
struct LoadSubscriber: Sendable {
    struct Summary: Sendable {
        /// Payloads by position.
        var seen: [UInt64: String] = [:]
        /// Everything up to here came, or did not match.
        var upto: UInt64 = 0
        var connections = 0
        var redelivered = 0
    }

    let name: String
    let patterns: [String]
    let address: Address
    let load: Load
    /// Where it may end, once somebody knows.
    let target = Locked<UInt64?>(nil)

    func start() -> Worker<Summary> {
        Worker("subscriber \(self.name)") { try self.run() }
    }

    private func run() throws -> Summary {
        var summary = Summary()
        while !self.isDone(summary) {
            do {
                let client = try TestClient(self.address, name: self.name)
                summary.connections += 1
                try self.receive(client, &summary)
            } catch let failure as Failure {
                switch failure.code {
                case .unavailable, .draining, .resourceExhausted: usleep(10_000)
                default: throw Problem("\(self.name): \(failure)")
                }
            }
        }
        return summary
    }

    private func isDone(_ summary: Summary) -> Bool {
        if let target = self.target.current { return summary.upto >= target }
        return false
    }

    private func receive(_ client: TestClient, _ summary: inout Summary) throws {
        var request = client.subscribeRequest(self.name, self.patterns)
        request.start = .first
        let (stream, start) = try client.subscribe(request)
        guard start <= summary.upto else {
            throw Problem(
                "\(self.name) got everything up to \(summary.upto), but starts after \(start)")
        }
        while !self.isDone(summary) {
            let frame: ClientFrame
            do {
                frame = try client.frame(on: stream, seconds: 0.2)
            } catch is Problem {
                continue
            }
            switch frame {
            case .data(_, let delivery):
                try self.take(delivery, &summary)
                try self.confirm(delivery, stream, client)
            case .end(_, let failure): throw failure
            default: throw Problem("\(self.name): \(frame)")
            }
        }
        client.close()
    }

    private func take(_ delivery: Delivery, _ summary: inout Summary) throws {
        let known = summary.upto
        for event in delivery.events {
            let position = event.position.rawValue
            if position <= known {
                guard delivery.header.redelivered else {
                    throw Problem("\(self.name): \(position) came again and is not marked")
                }
                guard summary.seen[position] == event.text else {
                    throw Problem(
                        "\(self.name): \(position) was \(summary.seen[position] ?? "nothing") and "
                            + "is \(event.text)")
                }
                summary.redelivered += 1
            } else {
                summary.seen[position] = event.text
            }
        }
        summary.upto = max(known, delivery.header.upto.rawValue)
    }

    private func confirm(
        _ delivery: Delivery, _ stream: StreamID, _ client: TestClient
    ) throws {
        guard !delivery.events.isEmpty else { return }
        let upto = delivery.header.upto.rawValue
        _ = try client.client.sendRequest(
            .acknowledge(AcknowledgeRequest(stream: stream.rawValue, upto: upto)),
            flags: FrameHeader.noReplyFlag)
        let bytes = delivery.events.reduce(0) { $0 + $1.creditBytes }
        let grant = GrantRequest(
            stream: stream.rawValue, events: UInt32(delivery.events.count), bytes: UInt32(bytes))
        _ = try client.client.sendRequest(.grant(grant), flags: FrameHeader.noReplyFlag)
    }
}
