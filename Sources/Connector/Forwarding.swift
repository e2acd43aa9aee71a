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
        self.uri = try Sink.address(settings)
        var options = ["client": program.name]
        if let token = try settings.secret("token-file") { options["token"] = token }
        self.options = options
        self.name = try Name(name).text
        self.patterns = settings.all("pattern")
        for pattern in self.patterns { _ = try KeyPattern(pattern) }
        self.isFromFirst = settings.has("from-first")
        self.target = target
    }

    /// What is known across connections.
    private struct Progress {
        var backOff = BackOff()
        /// Connections of clients that were given up.
        var former: UInt64 = 0
        /// The broker has refused something: events are sent one by one until a delivery has passed, so that those around
        /// the one that it does not take are not sent again with every attempt.
        var isCareful = false
        var lagAt = ContinuousClock.now
    }

    private static let lagPause = Duration.seconds(5)

    /// Takes events to the broker. While it waits there it calls `tend`, so that the server hears of us, too.
    package typealias Sending = (_ events: [Core.Event], _ tend: () -> Void) throws(Failure) -> Void

    /// Calls `send` with what came, and acknowledges it when that returns; and with nothing ten times a second while nothing
    /// comes, for the connection to the broker. Goes on after every trouble until the
    /// program is told to end; `internal` from `send` ends it.
    package func run(
        _ logger: Logger, _ metrics: ConnectorMetrics, _ send: Sending
    ) throws(Failure) {
        var progress = Progress()
        while !Stop.isRequested {
            let failure: String
            do throws(DormouseError) {
                let client = try BlockingClient(self.uri, options: self.options)
                defer { progress.former += client.connections }
                var options = SubscribeOptions(
                    name: self.name, Filter(patterns: self.patterns),
                    from: self.isFromFirst ? .first : .next)
                // What is kept in memory, here and there.
                options.creditEvents = 1_000
                options.creditBytes = 4 << 20
                let subscription = try client.subscribe(options)
                logger.info("forwarding", [.subscriber: self.name])
                metrics.note(client, former: progress.former)
                guard
                    let problem = try self.hand(
                        on: subscription, of: client, &progress, metrics, send)
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
            let pause = progress.backOff.failed(random: .random(in: 0..<1))
            logger.warning(
                "forwarding stopped; trying again", [.error: failure, .milliseconds: "\(pause)"])
            Stop.pause(milliseconds: pause)
        }
    }

    /// Until the program is told to end (nil), or the broker fails.
    private func hand(
        on subscription: BlockingSubscription, of client: BlockingClient,
        _ progress: inout Progress,
        _ metrics: ConnectorMetrics, _ send: Sending
    ) throws(DormouseError) -> Failure? {
        let tend = {
            do throws(DormouseError) { try client.process() } catch {
                // What is wrong the subscription says when it is asked for more.
            }
        }
        while !Stop.isRequested {
            self.showLag(behind: subscription.position, client, &progress, metrics)
            let batch = try subscription.next { batch in
                (events: (0..<batch.count).map { Core.Event(lent: batch[$0]) }, upto: batch.upto)
            }
            guard let batch else {
                try client.wait(milliseconds: 100)
                metrics.note(client, former: progress.former)
                do throws(Failure) { try send([], tend) } catch { return error }
                continue
            }
            let bytes = batch.events.reduce(0) { $0 + $1.payload.count }
            metrics.update {
                $0.taken += UInt64(batch.events.count)
                $0.takenBytes += UInt64(bytes)
            }
            let parts = progress.isCareful ? batch.events.map { [$0] } : [batch.events]
            for part in parts {
                do throws(Failure) { try send(part, tend) } catch {
                    progress.isCareful = true
                    // The server takes what was acknowledged before this client ends.
                    try subscription.end()
                    return self.failure(error, part)
                }
                metrics.update {
                    $0.stored += UInt64(part.count)
                    $0.brokerTrouble = nil
                }
                if let last = part.last {
                    try subscription.acknowledge(upto: last.position.rawValue)
                }
            }
            try subscription.acknowledge(upto: batch.upto)
            metrics.acknowledged()
            try client.process()
            progress.isCareful = false
            progress.backOff.succeeded()
        }
        return nil
    }

    /// How many positions the log has behind what was acknowledged. What does not match counts only when something that
    /// matches stands before it.
    private func showLag(
        behind position: UInt64, _ client: BlockingClient, _ progress: inout Progress,
        _ metrics: ConnectorMetrics
    ) {
        guard metrics.isServed, ContinuousClock.now >= progress.lagAt, client.isConnected else {
            return
        }
        progress.lagAt = .now + Self.lagPause
        var lag: UInt64?
        do throws(DormouseError) {
            var isMatching = false
            let filter = Filter(patterns: self.patterns)
            let page = try client.fetch(filter, after: position, events: 1) { _ in
                isMatching = true
                return false
            }
            lag = page.head - min(page.head, isMatching ? position : page.upto)
        } catch {
            // It is not shown then: a subscriber need not have the right to fetch, and what else is wrong the next delivery tells.
        }
        metrics.update { $0.sources[self.name] = .init(lag: lag) }
    }

    /// Says of what the broker refuses (`failedPrecondition`) where it is, and what to do: it holds up those behind it.
    private func failure(_ failure: Failure, _ events: [Core.Event]) -> Failure {
        guard failure.code == .failedPrecondition, let first = events.first, let last = events.last
        else { return failure }
        let text =
            events.count > 1
            ? "of positions \(first.position) to \(last.position): \(failure.message)"
            : "position \(first.position): \(failure.message). Those behind it wait; to go on without it: dormouse "
                + "subscriptions seek \(self.name) --to \(first.position.rawValue + 1)"
        return Failure(failure.code, text)
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
