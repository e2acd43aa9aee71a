package import Core
package import Diagnostics
import DormouseClient

/// The way into an exchange: one connection, made again whenever it is lost. Whatever happens, it goes on trying until the
/// program is told to end: a connector has nowhere else to put what it was given.
package final class Sink {
    package enum Outcome: Hashable, Sendable {
        /// Its COMMIT has returned; so many were in the log already.
        case stored(duplicates: Int)
        /// Another connector has published as this producer. Ask again, and go on from there.
        case mustAsk
    }

    private let uri: String
    private let options: [String: String]
    private let logger: Logger
    private let metrics: ConnectorMetrics
    private var client: BlockingClient?
    /// Connections of clients that were given up.
    private var formerConnections: UInt64 = 0
    private var backOff = BackOff()
    /// Called again and again while a server is waited for: the broker wants to hear of us all the time.
    package var whileWaiting: () -> Void = {}
    package private(set) var storedEvents: UInt64 = 0
    package private(set) var duplicateEvents: UInt64 = 0

    package init(
        _ settings: Settings, program: Program, logger: Logger, metrics: ConnectorMetrics
    ) throws(Failure) {
        self.uri = try Self.address(settings)
        var options = ["client": program.name]
        if let token = try settings.secret("token-file") { options["token"] = token }
        self.options = options
        self.logger = logger
        self.metrics = metrics
    }

    /// What --server says; throws when it is no address.
    static func address(_ settings: Settings) throws(Failure) -> String {
        let uri = settings.text("server") ?? "dormouse://127.0.0.1:3673/main"
        do throws(DormouseError) {
            try BlockingClient.check(uri)
        } catch {
            throw Failure(.invalidArgument, "--server is not an address: \(error.message)")
        }
        return uri
    }

    /// The largest event that the server takes.
    package func eventBytesMax() throws(Stopped) -> Int {
        try self.connected().eventBytesMax
    }

    /// The sequence of the producer's newest stored event; 0: none. From its answer on, this connection may publish.
    package func ask(_ producer: String) throws(Stopped) -> UInt64 {
        try self.trying("cannot ask how far the producer got") { (client) throws(DormouseError) in
            try client.producer(producer).sequence
        }
    }

    /// Publishes the events, of which `sequence` is the first one's, and waits for their COMMIT.
    package func publish(_ events: [Core.Event], as producer: String, sequence: UInt64)
        throws(Stopped) -> Outcome
    {
        var batch = PublishBatch()
        for event in events {
            batch.append(
                key: event.key, payload: event.payload, id: event.id,
                contentType: event.contentType,
                headers: event.headers.map { ($0.name, $0.value) })
        }
        let outcome = try self.trying("cannot publish") {
            (client) throws(DormouseError) -> Outcome in
            do throws(DormouseError) {
                let published = try client.publish(batch, as: producer, sequence: sequence)
                return .stored(duplicates: published.duplicates)
            } catch {
                guard error.status == .aborted else { throw error }
                // A new connection is newer than whoever has taken the producer.
                self.drop()
                self.logger.info(
                    "somebody else publishes as this producer; asking how far it got",
                    [.producer: producer, .reason: error.message])
                return .mustAsk
            }
        }
        if case .stored(let duplicates) = outcome {
            let stored = UInt64(events.count - min(duplicates, events.count))
            self.storedEvents += stored
            self.duplicateEvents += UInt64(duplicates)
            self.metrics.update {
                $0.stored += stored
                $0.duplicates += UInt64(duplicates)
            }
        }
        return outcome
    }

    /// Ids of the newest events with this header, oldest first: at most `limit`, of those behind `position` and among the
    /// newest 100,000 positions of the exchange. And how far was looked.
    package func recentIDs(
        header: String, equals value: String, idHeader: String, limit: Int, after position: UInt64
    ) throws(Stopped) -> (ids: [[UInt8]], upto: UInt64) {
        try self.trying("cannot read the log") {
            (client) throws(DormouseError) -> (ids: [[UInt8]], upto: UInt64) in
            let filter = Filter(headers: [.equals(header, Array(value.utf8))])
            let idName = Array(idHeader.utf8)
            var ids: [[UInt8]] = []
            // The first page of everything tells where the log ends.
            let head = try client.fetch(.everything, after: position, events: 1) { _ in false }.head
            var after = max(position, head > Self.recentPositions ? head - Self.recentPositions : 0)
            while after < head {
                let page = try client.fetch(filter, after: after) { event in
                    let long = (0..<event.headerCount).first {
                        Array(event.header($0).name) == idName
                    }
                    let id = long.map { Array(event.header($0).value) } ?? Array(event.id)
                    if !id.isEmpty { ids.append(id) }
                    return true
                }
                if page.upto <= after { break }
                after = page.upto
                if ids.count > 2 * limit { ids.removeFirst(ids.count - limit) }
            }
            return (ids.suffix(limit), max(position, after))
        }
    }

    /// A page of a filtered log takes the server a moment; so many positions take it some tens of milliseconds.
    private static let recentPositions: UInt64 = 100_000

    /// Answers the server's heartbeats while there is nothing to publish.
    package func tend() {
        guard let client = self.client else { return }
        do throws(DormouseError) {
            try client.process()
            self.metrics.note(client, former: self.formerConnections)
        } catch {
            self.drop()
            self.metrics.update { $0.serverTrouble = error.description }
        }
    }

    private func drop() {
        self.formerConnections += self.client?.connections ?? 0
        self.client = nil
    }

    private func connected() throws(Stopped) -> BlockingClient {
        if let client = self.client { return client }
        while !Stop.isRequested {
            do throws(DormouseError) {
                let client = try BlockingClient(self.uri, options: self.options)
                self.client = client
                self.metrics.note(client, former: self.formerConnections)
                self.logger.info("connected to the Dormouse server")
                return client
            } catch {
                self.failed("cannot connect to the Dormouse server", error)
            }
        }
        throw Stopped()
    }

    private func trying<Value>(
        _ what: String, _ body: (BlockingClient) throws(DormouseError) -> Value
    ) throws(Stopped) -> Value {
        while true {
            let client = try self.connected()
            do throws(DormouseError) {
                let value = try body(client)
                self.backOff.succeeded()
                self.metrics.note(client, former: self.formerConnections)
                return value
            } catch {
                // Also what a new connection cannot cure, such as a missing exchange: somebody may.
                self.drop()
                self.failed(what, error)
                if Stop.isRequested { throw Stopped() }
            }
        }
    }

    private func failed(_ what: String, _ error: DormouseError) {
        let pause = self.backOff.failed(random: .random(in: 0..<1))
        self.metrics.update { $0.serverTrouble = "\(what): \(error.description)" }
        self.logger.warning(
            "\(what); trying again", [.error: error.description, .milliseconds: "\(pause)"])
        self.whileWaiting()
        Stop.pause(milliseconds: pause)
        self.whileWaiting()
    }
}
