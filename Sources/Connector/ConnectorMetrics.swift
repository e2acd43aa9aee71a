import Channels
import Diagnostics
import DormouseClient

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What a connector shows of itself: written by the thread that works, read by those of the page.
package final class ConnectorMetrics: Sendable {
    /// Where messages come from: a partition, a queue, a stream.
    package struct Source: Hashable, Sendable {
        /// The next offset to be read; nil: there are none.
        package var position: UInt64?
        /// What the broker has and the log has not, as far as the broker has told; with --forward the other way round.
        package var lag: UInt64?
        package var isLost = false

        package init(position: UInt64? = nil, lag: UInt64? = nil, isLost: Bool = false) {
            self.position = position
            self.lag = lag
            self.isLost = isLost
        }
    }

    package struct Values: Sendable {
        /// Taken over from the broker, or with --forward from the server.
        package var taken: UInt64 = 0
        package var takenBytes: UInt64 = 0
        /// In the log, or with --forward confirmed by the broker.
        package var stored: UInt64 = 0
        package var duplicates: UInt64 = 0
        package var parked: UInt64 = 0
        /// Seconds since 1970; 0: nothing yet.
        package var acknowledgedAt = 0.0
        package var serverConnections: UInt64 = 0
        package var brokerConnections: UInt64 = 0
        /// Why it does not work now; nil: it does.
        package var serverTrouble: String? = "not connected to the Dormouse server yet"
        package var brokerTrouble: String? = "not connected to the broker yet"
        package var sources: [String: Source] = [:]
        fileprivate var beatAt = ContinuousClock.now
    }

    /// A request to the server or the broker takes at most so long.
    private static let silenceMax = Duration.seconds(60)
    private let program: String
    /// Whether somebody may look: some figures cost the broker something.
    package let isServed: Bool
    private let values = Lock(Values())

    package init(program: String, isServed: Bool) {
        self.program = program
        self.isServed = isServed
    }

    package func update(_ body: (inout Values) -> Void) {
        self.values.withLock {
            body(&$0)
            $0.beatAt = .now
        }
    }

    /// The thread that works is not stuck.
    package func beat() { self.update { _ in } }

    /// The connection to the server, which the client makes again by itself, after `former` ones of other clients.
    func note(_ client: BlockingClient, former: UInt64) {
        let connections = former + client.connections
        let trouble =
            client.isConnected ? nil : "no connection to the Dormouse server: \(client.lastError)"
        self.update {
            $0.serverConnections = connections
            $0.serverTrouble = trouble
        }
    }

    package func acknowledged() {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        self.update { $0.acknowledgedAt = Double(now.tv_sec) + Double(now.tv_nsec) / 1e9 }
    }

    // MARK: Pages

    /// Why it is not alive; nil: it is.
    package func unhealthy() -> String? {
        let silence = self.values.withLock { ContinuousClock.now - $0.beatAt }
        return silence <= Self.silenceMax
            ? nil : "nothing has moved for \(silence.components.seconds) s"
    }

    /// Why events do not pass now; nil: they do.
    package func unready() -> String? {
        self.unhealthy() ?? self.values.withLock { $0.serverTrouble ?? $0.brokerTrouble }
    }

    package func text() -> String {
        let values = self.values.withLock { $0 }
        var text = MetricsText()
        text.begin(
            "dormouse_connector_build_info", .gauge, "1; the labels say which program runs.")
        text.sample(
            "dormouse_connector_build_info", ["program": self.program, "version": Version.text], 1)
        text.add(
            "dormouse_connector_ready", .gauge, "1 when both sides are connected.",
            values.serverTrouble == nil && values.brokerTrouble == nil)
        for (name, help, value) in [
            ("taken", "Messages taken over; with --forward: events.", values.taken),
            ("taken_bytes", "Bytes of their payloads.", values.takenBytes),
            ("stored", "Events committed in the log; with --forward: confirmed.", values.stored),
            ("duplicates", "Messages that came again and were known.", values.duplicates),
            ("parked", "Messages that cannot be events, parked under error.", values.parked),
            (
                "server_connections", "Connections made to the Dormouse server.",
                values.serverConnections
            ),
            ("broker_connections", "Connections made to the broker.", values.brokerConnections),
        ] {
            text.add("dormouse_connector_\(name)_total", .counter, help, value)
        }
        text.add(
            "dormouse_connector_acknowledged_timestamp_seconds", .gauge,
            "When something was last acknowledged to where it came from; 0: not yet.",
            values.acknowledgedAt)
        Self.add(values.sources.sorted { $0.key < $1.key }, to: &text)
        return text.text
    }

    private static func add(
        _ sources: [(key: String, value: Source)], to text: inout MetricsText
    ) {
        text.begin("dormouse_connector_position", .gauge, "The next offset to be read.")
        for (name, source) in sources {
            guard let position = source.position else { continue }
            text.sample("dormouse_connector_position", ["source": name], position)
        }
        text.begin(
            "dormouse_connector_lag", .gauge,
            "Messages that the broker has and the log has not; with --forward: positions behind.")
        for (name, source) in sources {
            guard let lag = source.lag else { continue }
            text.sample("dormouse_connector_lag", ["source": name], lag)
        }
        text.begin(
            "dormouse_connector_lost", .gauge, "1 when it cannot go on without a decision.")
        for (name, source) in sources {
            text.sample("dormouse_connector_lost", ["source": name], source.isLost)
        }
    }
}
