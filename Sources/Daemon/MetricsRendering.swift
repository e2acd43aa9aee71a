import Core
import Diagnostics
import Engine

/// The page for Prometheus. Each metric is explained once more, with what to do about it, in docs/operating.md.
enum MetricsRendering {
    /// `engine` is nil as long as nothing is restored.
    static func text(
        _ engine: EngineMetrics?, _ process: ProcessMetrics, version: String, isReady: Bool
    ) -> String {
        var text = MetricsText()
        text.begin("dormouse_build_info", .gauge, "1; the label says which version runs.")
        text.sample("dormouse_build_info", ["version": version], 1)
        text.add("dormouse_ready", .gauge, "1 when requests are served as promised.", isReady)
        Self.add(process, to: &text)
        if let engine {
            Self.addStore(engine, to: &text)
            Self.addTraffic(engine, to: &text)
            Self.addQueues(engine, to: &text)
            Self.addExchanges(engine, to: &text)
            Self.addSubscriptions(engine, to: &text)
        }
        return text.text
    }

    private static func add(_ process: ProcessMetrics, to text: inout MetricsText) {
        text.add(
            "process_cpu_seconds_total", .counter, "Processor time in seconds.", process.cpuSeconds)
        text.add("process_resident_memory_bytes", .gauge, "Memory in use.", process.residentBytes)
        text.add("process_open_fds", .gauge, "Open descriptors.", process.openDescriptors)
        text.add("process_max_fds", .gauge, "Descriptors that may be open.", process.descriptorsMax)
        text.add("process_threads", .gauge, "Threads.", process.threads)
    }

    private static func addStore(_ engine: EngineMetrics, to text: inout MetricsText) {
        text.add(
            "dormouse_store_available", .gauge, "1 when Postgres answers.", engine.isStoreAvailable)
        text.add(
            "dormouse_commit_seconds",
            "From handing events to Postgres to the end of their commit.",
            engine.commits)
        Self.add(
            [
                (
                    "dormouse_commit_failures_total",
                    "Commits that failed or whose outcome is unknown.", .commitFailures
                ),
                (
                    "dormouse_position_saves_total", "Positions of subscriptions that were saved.",
                    .saves
                ),
                (
                    "dormouse_position_save_failures_total",
                    "Saves that failed and are tried again.", .saveFailures
                ),
                (
                    "dormouse_replay_pages_total",
                    "Pages read from the log for subscriptions that are behind.", .replayPages
                ),
                ("dormouse_replay_bytes_total", "Bytes of these pages.", .replayBytes),
            ], engine, to: &text)
    }

    private static func addTraffic(_ engine: EngineMetrics, to text: inout MetricsText) {
        text.add("dormouse_connections", .gauge, "Connections.", engine.connections)
        text.add(
            "dormouse_sent_bytes_total", .counter, "Bytes that sockets have taken.",
            engine.bytesSent)
        text.add(
            "dormouse_events_published_total", .counter, "Events that were stored.",
            engine.published)
        text.add(
            "dormouse_events_delivered_total", .counter, "Events that were sent to subscriptions.",
            engine.delivered)
        Self.add(
            [
                (
                    "dormouse_connections_accepted_total", "Connections that were taken.",
                    .connectionsAccepted
                ),
                (
                    "dormouse_connections_refused_total", "Connections beyond a limit.",
                    .connectionsRefused
                ),
                ("dormouse_received_bytes_total", "Bytes that came.", .receivedBytes),
                ("dormouse_published_bytes_total", "Bytes of stored events.", .publishedBytes),
                (
                    "dormouse_publish_duplicates_total",
                    "Published events that were stored before.", .duplicates
                ),
                (
                    "dormouse_publishes_refused_total",
                    "Publishes that were answered with a failure.", .refusedPublishes
                ),
                (
                    "dormouse_delivered_bytes_total", "Bytes of events that were sent.",
                    .deliveredBytes
                ),
                (
                    "dormouse_acknowledgements_total", "Acknowledgements that came.",
                    .acknowledgements
                ),
            ], engine, to: &text)
    }

    private static func addQueues(_ engine: EngineMetrics, to text: inout MetricsText) {
        text.add(
            "dormouse_outbound_bytes", .gauge, "Bytes that wait for sockets.", engine.outboundBytes)
        text.add("dormouse_tail_bytes", .gauge, "Newest events in memory.", engine.tailBytes)
        text.add(
            "dormouse_replay_cache_bytes", .gauge, "Pages of the log in memory.",
            engine.replayCacheBytes)
        text.add(
            "dormouse_replay_pages_waiting", .gauge, "Pages that wait to be read.",
            engine.pagesWaiting)
        text.add(
            "dormouse_replays_held", .gauge,
            "Subscriptions and fetches whose principal has as many pages under way as it may.",
            engine.replaysHeld)
        text.add(
            "dormouse_deliveries_waiting", .gauge, "Subscriptions that wait for their turn.",
            engine.deliveriesWaiting)
    }

    private typealias Entry = EngineMetrics.ExchangeEntry

    private static func addExchanges(_ engine: EngineMetrics, to text: inout MetricsText) {
        func add(_ name: String, _ help: String, _ value: (Entry) -> some MetricValue) {
            text.begin(name, .gauge, help)
            for entry in engine.exchanges {
                text.sample(name, ["exchange": entry.name], value(entry))
            }
        }
        add("dormouse_exchange_head", "Newest position.") { $0.head }
        add("dormouse_exchange_first", "Oldest position that is stored.") { $0.first }
        add("dormouse_exchange_stored_bytes", "Bytes of stored events.") { $0.storedBytes }
        add("dormouse_exchange_pending_bytes", "Published bytes that wait for their commit.") {
            $0.pendingBytes
        }
        add("dormouse_exchange_receivers", "Distinct filters.") { $0.receivers }
        add("dormouse_exchange_owned", "0 when another server has taken it.") { $0.isOwned }
        let name = "dormouse_exchange_subscriptions"
        text.begin(name, .gauge, "Durable subscriptions.")
        for entry in engine.exchanges {
            text.sample(name, ["exchange": entry.name, "state": "awake"], entry.awake)
            text.sample(
                name, ["exchange": entry.name, "state": "sleeping"],
                entry.subscriptions - entry.awake)
        }
    }

    private static func addSubscriptions(_ engine: EngineMetrics, to text: inout MetricsText) {
        func add(
            _ name: String, _ help: String,
            _ value: (EngineMetrics.SubscriptionEntry) -> (any MetricValue)?
        ) {
            text.begin(name, .gauge, help)
            for entry in engine.subscriptions {
                guard let value = value(entry) else { continue }
                text.sample(name, ["exchange": entry.exchange, "subscription": entry.name], value)
            }
        }
        add("dormouse_subscription_lag", "Positions from the confirmed one to the head.") { $0.lag }
        add("dormouse_subscription_age_seconds", "Age of the oldest event that is not confirmed.") {
            $0.ageMicroseconds.map { Double($0) / 1_000_000 }
        }
        add("dormouse_subscription_awake", "1 when it has a consumer.") { $0.isAwake }
        text.add(
            "dormouse_subscriptions_omitted", .gauge,
            "Subscriptions with less lag that are not shown.",
            engine.subscriptionsOmitted)
    }

    private static func add(
        _ counters: [(name: String, help: String, counter: Counters.Name)], _ engine: EngineMetrics,
        to text: inout MetricsText
    ) {
        for entry in counters {
            text.add(entry.name, .counter, entry.help, engine.counters[entry.counter] ?? 0)
        }
    }
}
