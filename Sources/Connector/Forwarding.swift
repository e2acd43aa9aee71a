package import Core
package import Diagnostics
import DormouseClient

/// A subscription that is handed on to a broker, at least once and in order.
package struct Forwarding {
    package let uri: String
    package let options: [String: String]
    /// The subscriber's name.
    package let name: String
    package let patterns: [String]
    package let isFromFirst: Bool
    /// The topic or the broker's exchange.
    package let target: String

    package static let flags = [
        Flag(
            "forward", "NAME",
            "the other way: hand the events of the subscription NAME on to the broker"),
        Flag("pattern", "PATTERN", "with --forward: only keys like this", isRepeated: true),
        Flag("from-first", nil, "with --forward: a new subscription begins with the oldest event"),
    ]

    package init(_ settings: Settings, name: String, program: Program, target: String)
        throws(Failure)
    {
        self.uri = settings.text("server") ?? "dormouse://127.0.0.1:3673/main"
        var options = ["client": program.name]
        if let token = try settings.secret("token-file") { options["token"] = token }
        self.options = options
        self.name = name
        self.patterns = settings.all("pattern")
        self.isFromFirst = settings.has("from-first")
        self.target = target
    }

    /// Calls `send` with what came, and acknowledges it when that returns; and with nothing ten times a second while nothing
    /// comes, for the connection to the broker. Goes on after every trouble until the
    /// program is told to end; `internal` from `send` ends it.
    package func run(
        _ logger: Logger, _ metrics: ConnectorMetrics,
        _ send: ([Core.Event]) throws(Failure) -> Void
    ) throws(Failure) {
        var backOff = BackOff()
        var former: UInt64 = 0
        while !Stop.isRequested {
            let failure: String
            do throws(DormouseError) {
                let client = try BlockingClient(self.uri, options: self.options)
                defer { former += client.connections }
                var options = SubscribeOptions(
                    name: self.name, Filter(patterns: self.patterns),
                    from: self.isFromFirst ? .first : .next)
                // What is kept in memory, here and there.
                options.creditEvents = 1_000
                options.creditBytes = 4 << 20
                let subscription = try client.subscribe(options)
                logger.info("forwarding", [.subscriber: self.name])
                metrics.note(client, former: former)
                guard
                    let problem = try self.hand(
                        on: subscription, of: client, &backOff, metrics, former: former, send)
                else {
                    return try subscription.end()
                }
                if problem.code == .internal { throw DormouseError(.internal, problem.message) }
                failure = problem.description
                metrics.update { $0.brokerTrouble = failure }
            } catch {
                if error.status == .internal { throw Failure(.internal, error.message) }
                failure = error.description
                metrics.update { $0.serverTrouble = failure }
            }
            let pause = backOff.failed(random: .random(in: 0..<1))
            logger.warning(
                "forwarding stopped; trying again", [.error: failure, .milliseconds: "\(pause)"])
            Stop.pause(milliseconds: pause)
        }
    }

    /// Until the program is told to end (nil), or the broker fails.
    private func hand(
        on subscription: BlockingSubscription, of client: BlockingClient, _ backOff: inout BackOff,
        _ metrics: ConnectorMetrics, former: UInt64, _ send: ([Core.Event]) throws(Failure) -> Void
    ) throws(DormouseError) -> Failure? {
        while !Stop.isRequested {
            let batch = try subscription.next { batch in
                (events: (0..<batch.count).map { Core.Event(lent: batch[$0]) }, upto: batch.upto)
            }
            guard let batch else {
                try client.wait(milliseconds: 100)
                metrics.note(client, former: former)
                do throws(Failure) { try send([]) } catch { return error }
                continue
            }
            let bytes = batch.events.reduce(0) { $0 + $1.payload.count }
            metrics.update {
                $0.taken += UInt64(batch.events.count)
                $0.takenBytes += UInt64(bytes)
            }
            do throws(Failure) { try send(batch.events) } catch { return error }
            metrics.update {
                $0.stored += UInt64(batch.events.count)
                $0.brokerTrouble = nil
            }
            try subscription.acknowledge(upto: batch.upto)
            metrics.acknowledged()
            try client.process()
            backOff.succeeded()
        }
        return nil
    }
}

extension Core.Event {
    fileprivate init(lent: LentEvent) {
        self.init(
            position: Position(lent.position), publishedAt: Timestamp(rawValue: lent.publishedAt),
            key: Array(lent.key), payload: Array(lent.payload), id: Array(lent.id),
            contentType: Array(lent.contentType),
            headers: (0..<lent.headerCount).map {
                let header = lent.header($0)
                return Header(name: Array(header.name), value: Array(header.value))
            })
    }
}

/// What an event's headers are for a broker: its own, and where it comes from, so that whoever reads can tell repetitions.
package enum ForwardedHeaders {
    package static let position = "dormouse-position"
    package static let key = "dormouse-key"
    package static let id = "dormouse-id"

    package static func of(_ event: Core.Event) -> [(name: String, value: [UInt8])] {
        var headers = event.headers.map {
            (name: String(decoding: $0.name, as: UTF8.self), value: $0.value)
        }
        headers.append((Self.position, Array("\(event.position)".utf8)))
        headers.append((Self.key, event.key))
        if !event.id.isEmpty { headers.append((Self.id, event.id)) }
        if !event.contentType.isEmpty { headers.append(("content-type", event.contentType)) }
        return headers
    }
}
