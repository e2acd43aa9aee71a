import DormouseClient
import Testing

@testable import CommandLine

struct ScreenTests {
    @Test func aLineIsCutWhereTheScreenEndsAndColoursTakeNoRoom() {
        #expect(Screen.cut("hello", 5) == "hello")
        #expect(Screen.cut("hello", 4) == "hell")
        #expect(
            Screen.cut("\u{1B}[32mlive\u{1B}[0m and more", 6)
                == "\u{1B}[32mlive\u{1B}[0m a\u{1B}[0m")
        #expect(Screen.fitted(["a", "b", "c"], Screen.Size(rows: 3, columns: 9)) == ["a", "b"])
    }

    @Test func aFrameReplacesTheOneBefore() {
        #expect(
            String(decoding: Screen.frame(["a", "b"]), as: UTF8.self)
                == "\u{1B}[Ha\u{1B}[K\nb\u{1B}[K\n\u{1B}[J")
    }

    private func look(acknowledged: UInt64, published: UInt64, now: UInt64) -> TopLook {
        let subscribers = [
            SubscriberInfo(
                name: "done", exchange: "main", filter: .everything, state: .sleeping,
                position: 50, head: 50),
            SubscriberInfo(
                name: "behind", exchange: "main", filter: .everything, state: .live, position: 10,
                sent: 30, head: 1250, oldestWaitingAt: 1_000_000, peer: "10.0.0.1:5000",
                acknowledged: acknowledged),
        ]
        return TopLook(
            ServerInfo(
                server: "dormoused/1", startedAt: 0, connections: 3, published: published,
                isStoreAvailable: true, storeReason: ""), subscribers, now: now)
    }

    @Test func topShowsRatesAndTheWorstFirst() {
        let first = self.look(acknowledged: 100, published: 1000, now: 10_000_000)
        let second = self.look(acknowledged: 350, published: 4000, now: 12_000_000)
        #expect(
            second.lines(after: first, Show(now: 12_000_000)) == [
                "dormoused/1  up 12s  3 connections  store available  1970-01-01T00:00:12Z",
                "published 4,000 (1,500/s)  delivered 0 (0/s)",
                "",
                "NAME    EXCHANGE  STATE       LAG  OLDEST  IN FLIGHT  DONE/S  PEER",
                "behind  main      live      1,240     11s         20     125  10.0.0.1:5000",
                "done    main      sleeping      0       -          0       0",
            ])
        #expect(
            second.json(after: first)
                == "{\"time\":\"1970-01-01T00:00:12.000000Z\",\"connections\":3,\"store_available\":true,"
                + "\"published\":4000,\"published_per_second\":1500,\"delivered\":0,"
                + "\"delivered_per_second\":0,\"subscriptions\":[{\"name\":\"behind\","
                + "\"exchange\":\"main\",\"state\":\"live\",\"lag\":1240,\"in_flight\":20,"
                + "\"done_per_second\":125},{\"name\":\"done\",\"exchange\":\"main\","
                + "\"state\":\"sleeping\",\"lag\":0,\"in_flight\":0,\"done_per_second\":0}]}")
        #expect(
            first.lines(after: nil, Show(now: 10_000_000))[1]
                == "published 1,000 (-/s)  delivered 0 (-/s)")
    }
}

struct VerificationTests {
    private func verify(
        _ positions: [UInt64], first: UInt64 = 1, head: UInt64, times: [UInt64] = []
    ) -> Verification {
        var verification = Verification(exchange: "main", first: first, head: head)
        for (index, position) in positions.enumerated() {
            verification.take(position, index < times.count ? times[index] : 1)
        }
        verification.end()
        return verification
    }

    @Test func aDenseLogIsInOrder() {
        #expect(
            self.verify([1, 2, 3], head: 3).line
                == "main: 3 events, positions 1 to 3, dense and in order")
        #expect(
            self.verify([7, 8], first: 7, head: 8, times: [5, 4]).line
                == "main: 2 events, positions 7 to 8, dense and in order; 1 time the clock went back"
        )
        #expect(self.verify([], head: 0).line == "main: empty")
    }

    @Test func holesDoublesAndWhatIsMissingAreFound() {
        #expect(self.verify([1, 3], head: 3).problem == "position 3 comes instead of 2")
        #expect(self.verify([1, 1], head: 2).problem == "position 1 comes instead of 2")
        #expect(self.verify([2], head: 2).problem == "position 2 comes instead of 1")
        #expect(self.verify([1, 2], head: 3).problem == "there are 2 events instead of 3")
        #expect(
            self.verify([1], head: 2).json
                == "{\"exchange\":\"main\",\"first\":1,\"head\":2,\"events\":1,\"clock_back\":0,"
                + "\"problem\":\"there are 1 events instead of 2\"}")
        #expect(
            self.verify([1], head: 2).line
                == "main: NOT in order: there are 1 events instead of 2. Before it: 1 event")
    }
}

struct BenchResultTests {
    @Test func ratesAndQuantilesAreWhatTheySay() {
        var result = BenchResult(events: 100_000, size: 100)
        result.publishSeconds = 0.5
        result.readSeconds = 0.1
        result.commit = (1...200).map { Double($0) / 10 }
        result.arrival = [0.004, 0.006]
        #expect(
            result.lines == [
                "published  200,000 events/s, 19.1 MiB/s",
                "delivered  1,000,000 events/s, 95.4 MiB/s",
                "commit     half within 10.00 ms, 99 % within 19.80 ms",
                "arrival    half within 0.00 ms, 99 % within 0.01 ms",
            ])
        #expect(BenchResult.quantile([], 0.5) == 0)
        #expect(BenchResult.rate(5, 0) == 0)
    }
}
