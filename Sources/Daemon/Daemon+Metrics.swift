import Channels
import Core
import Diagnostics
import Engine
import MetricsPage
import Net

// The page for Prometheus and for health checks. Its threads are those of the HTTP library; none of them touches the
// engine. For /metrics a thread asks the bulletin, a task on the loop asks the engine and writes the page, one at a
// time, and the thread waits within a deadline. /healthz and /readyz read what the last beat has left for them, so they
// answer also when the loop hangs: that is what they are for.

/// What the last beat of the loop has left for threads that ask.
struct Health: Sendable {
    /// When the loop last turned.
    var beatAt = Instant(rawValue: 0)
    /// Why requests cannot be served as promised; nil: they can.
    var unready: String? = "starting"
}

extension Daemon {
    /// Early, so that a server that waits for its database can be asked why.
    func startPage() throws(Failure) {
        guard let text = self.options.metrics else { return }
        let (bulletin, health, loop) = (self.bulletin, self.health, self.loop)
        let listening = try MetricsPage.listen(at: text) { path in
            switch path {
            case "/metrics":
                Self.metricsAnswer(bulletin.next(milliseconds: Limits.metricsMillisecondsMax))
            case "/healthz": Self.healthAnswer(health.withLock { $0 }, now: loop.now())
            case "/readyz": Self.readyAnswer(health.withLock { $0 }, now: loop.now())
            case _: nil
            }
        }
        self.page = listening.page
        self.say("metrics on http://\(listening.name)/metrics")
    }

    func stopPage() {
        self.bulletin.close()
        self.page?.stop()
        self.page = nil
    }

    /// Writes the page whenever somebody wants it.
    func writePages() async {
        while await self.bulletin.wanted() {
            let engine = await self.engine?.metrics(
                subscriptionsMax: self.options.limits.metricsSubscriptionsMax)
            self.bulletin.publish(
                MetricsRendering.text(
                    engine, ProcessMetrics.now(), version: Version.text,
                    isReady: self.health.withLock { $0.unready } == nil))
        }
    }

    func noteHealth() {
        let unready: String?
        switch self.phase {
        case .starting(let what): unready = what
        case .serving:
            unready = self.engine?.assumeIsolated { $0.troubleText }
        case .stopping: unready = "stopping"
        }
        let now = self.loop.now()
        self.health.withLock { $0 = Health(beatAt: now, unready: unready) }
    }

    private static func metricsAnswer(_ text: String?) -> MetricsPage.Answer {
        guard let text else {
            return .init(
                status: 503,
                body:
                    "no answer within \(Limits.metricsMillisecondsMax) ms: the server starts, ends or hangs\n"
            )
        }
        return .init(status: 200, contentType: MetricsText.contentType, body: text)
    }

    private static func silence(_ health: Health, now: Instant) -> String? {
        let silence = now.milliseconds(since: health.beatAt)
        return silence <= Limits.healthSilenceMillisecondsMax
            ? nil : "the event loop has not turned for \(silence) ms\n"
    }

    private static func healthAnswer(_ health: Health, now: Instant) -> MetricsPage.Answer {
        if let silence = Self.silence(health, now: now) { return .init(status: 503, body: silence) }
        return .init(status: 200, body: "alive\n")
    }

    private static func readyAnswer(_ health: Health, now: Instant) -> MetricsPage.Answer {
        if let silence = Self.silence(health, now: now) { return .init(status: 503, body: silence) }
        if let unready = health.unready { return .init(status: 503, body: unready + "\n") }
        return .init(status: 200, body: "ready\n")
    }
}
