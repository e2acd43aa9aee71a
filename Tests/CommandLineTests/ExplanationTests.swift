import DormouseClient
import Testing

@testable import CommandLine

struct ExplanationTests {
    private static let second: UInt64 = 1_000_000

    private func explain(
        _ state: SubscriberInfo.State, reason: String = "", position: UInt64 = 10,
        sent: UInt64 = 10, head: UInt64 = 10, pausedUntil: UInt64 = 0, first: UInt64 = 1,
        next: (position: UInt64, publishedAt: UInt64)? = nil, storeReason: String? = nil,
        oldest: UInt64 = 0
    ) -> Explanation {
        let info = SubscriberInfo(
            name: "billing", exchange: "main", filter: Filter("orders.#"), state: state,
            reason: reason, position: position, sent: sent, head: head, since: Self.second,
            oldestWaitingAt: oldest, peer: state == .sleeping ? "" : "10.0.0.1:5000",
            client: state == .sleeping ? "" : "biller", pausedUntil: pausedUntil)
        let server = ServerInfo(
            isStoreAvailable: storeReason == nil, storeReason: storeReason ?? "")
        return Explanation(
            Explanation.Facts(subscriber: info, server: server, first: first, next: next),
            Show(now: 60 * Self.second))
    }

    @Test func oneThatSleepsSaysSinceWhenWhyAndWhatWaits() {
        let waiting = self.explain(
            .sleeping, reason: "its consumer cancelled the stream", head: 12,
            next: (12, 2 * Self.second))
        #expect(
            waiting.lines == [
                "'billing' is asleep since 1970-01-01T00:00:01Z: its consumer cancelled the stream.",
                "2 events are newer than what it has confirmed, position 10. The first for it is "
                    + "position 12, published 1970-01-01T00:00:02Z.",
                "It wakes up when somebody subscribes: dormouse subscribe billing",
            ])
        #expect(waiting.reasons == [.asleep, .waiting])
        let caughtUp = self.explain(.sleeping)
        #expect(caughtUp.reasons == [.asleep, .nothingNew])
        #expect(
            caughtUp.lines[1] == "It has confirmed everything: position 10 is the newest of 'main'."
        )
        let other = self.explain(.sleeping, head: 11)
        #expect(other.reasons == [.asleep, .nothingMatches])
        #expect(
            other.lines[1]
                == "1 event is newer than what it has confirmed, position 10, but none of them "
                + "matches its filter: orders.#.")
    }

    @Test func oneThatIsPausedSaysUntilWhen() {
        let hour = self.explain(.paused, reason: "upgrade", pausedUntil: 3600 * Self.second)
        #expect(hour.reasons == [.paused, .nothingNew])
        #expect(
            hour.lines == [
                "'billing' is paused until 1970-01-01T01:00:00Z, since 1970-01-01T00:00:01Z: upgrade.",
                "It has confirmed everything: position 10 is the newest of 'main'.",
                "To go on now: dormouse subscriptions resume billing",
            ])
        for end in [0, NameCommands.untilResumed, UInt64.max] {
            #expect(
                self.explain(.paused, pausedUntil: end).lines[0]
                    == "'billing' is paused until somebody resumes it, since 1970-01-01T00:00:01Z.")
        }
    }

    @Test func oneWhoseConsumerTakesNoMoreNamesIt() {
        let explanation = self.explain(
            .waitingForCredit, sent: 15, head: 20, next: (11, 1), oldest: 3 * Self.second)
        #expect(explanation.reasons == [.noCredit, .unconfirmed])
        #expect(
            explanation.lines == [
                "The consumer of 'billing' at 10.0.0.1:5000, biller takes no more: it has granted no "
                    + "more credit since 1970-01-01T00:00:01Z. It is slow, or stuck.",
                "It was sent everything up to position 15 and has confirmed up to 10; the oldest of "
                    + "them was published 1970-01-01T00:00:03Z.",
            ])
    }

    @Test func oneThatIsAwakeHasEverythingOrIsWorking() {
        #expect(
            self.explain(.live).lines == [
                "'billing' is awake, at 10.0.0.1:5000, biller.",
                "It has confirmed everything: position 10 is the newest of 'main'.",
            ])
        #expect(
            self.explain(.live, sent: 12, head: 12, next: (11, 1)).reasons == [.unconfirmed])
        #expect(self.explain(.live, sent: 12, head: 12).reasons == [.nothingMatches])
        #expect(self.explain(.replaying, sent: 12, head: 99).reasons == [.replaying])
    }

    @Test func whatIsWorstIsSaidFirst() {
        let explanation = self.explain(
            .sleeping, head: 90, first: 50, storeReason: "connection refused")
        #expect(explanation.reasons == [.storeAway, .lost, .asleep])
        #expect(
            explanation.lines.prefix(2) == [
                "The server cannot reach its Postgres: connection refused. Nothing is published, and "
                    + "nothing old is sent, until it can.",
                "Positions 11 to 49 are no longer in the log, so 'billing' has lost what matched "
                    + "there. Its consumer is told POSITION_LOST; go on with: dormouse subscriptions "
                    + "seek billing --to first",
            ])
    }
}

struct CheckTests {
    private func check(
        lags: [UInt64], ages: [UInt64], _ thresholds: CheckCommand.Thresholds = .init(),
        storeReason: String? = nil
    ) -> CheckResult {
        let now: UInt64 = 1_000_000_000_000
        let subscribers = zip(lags, ages).enumerated().map { index, pair in
            SubscriberInfo(
                name: "s\(index)", exchange: "main", filter: .everything, state: .sleeping,
                position: 0, head: pair.0, oldestWaitingAt: now - pair.1 * 1_000_000)
        }
        let server = ServerInfo(
            isStoreAvailable: storeReason == nil, storeReason: storeReason ?? "")
        return CheckResult(subscribers, server, thresholds, now: now)
    }

    @Test func withoutThresholdsItIsInOrder() {
        let result = self.check(lags: [5, 2000], ages: [1, 90])
        #expect(result.level == .ok)
        #expect(
            result.line
                == "DORMOUSE OK - 2 subscriptions, at most 2,000 behind, oldest 1m 30s | "
                + "lag=2000;;;0 age=90s;;;0")
    }

    @Test func theWorstSubscriptionDecides() {
        let thresholds = CheckCommand.Thresholds(
            lagWarning: 10, lagCritical: 1000, ageWarning: 60_000, ageCritical: nil)
        let warned = self.check(lags: [11, 5, 10], ages: [1, 61, 60], thresholds)
        #expect(warned.level == .warning)
        #expect(
            warned.line
                == "DORMOUSE WARNING - s0 is sleeping, 11 behind, oldest 1s; s1 is sleeping, 5 "
                + "behind, oldest 1m 1s | lag=11;10;1000;0 age=61s;60;;0")
        #expect(self.check(lags: [1001, 11], ages: [1, 1], thresholds).level == .critical)
        #expect(self.check(lags: [1000, 10], ages: [1, 60], thresholds).level == .warning)
    }

    @Test func aStoreThatIsAwayIsCritical() {
        let result = self.check(lags: [], ages: [], storeReason: "refused")
        #expect(result.level == .critical)
        #expect(
            result.json
                == "{\"status\":\"critical\",\"subscriptions\":0,\"lag\":0,\"age_ms\":0,"
                + "\"problems\":[\"the server cannot reach its Postgres: refused\"]}")
    }
}
