import Core
import PlainClient
import Testing
import Wire

extension Integration {
    /// The program on a terminal that it draws on, and what looks into the log.
    @Suite(.serialized)
    struct ProgramWatchTests {
        private static let program = "\(Server.binaries)/dormouse"

        private func environment(_ client: TestClient) -> [String: String] {
            ["DORMOUSE_URL": "\(client.client.address)/\(client.exchange)"]
        }

        /// What differs from run to run: addresses, durations, rates and times.
        private func steady(_ text: String) -> String {
            text.replacing(/127\.0\.0\.1:\d+/, with: "127.0.0.1:PORT")
                .replacing(/\d\d\d\d-\d\d-\d\dT[\d:]+Z/, with: "TIME")
                .replacing(/\b(\d+[smh] ?)+(?= )/, with: "AGO").replacing(
                    /\([\d,-]+\/s\)/, with: "(RATE/s)"
                )
                .replacing(/[ ]+/, with: " ")
        }

        @Test func aWatchedListFollowsWhatHappens() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("billing")
            let terminal = try Terminal(
                [Self.program, "subscriptions", "list", "--watch=100ms"],
                environment: self.environment(client), rows: 10, columns: 100)
            // Colours and places as they are sent, once; then the screens that come of it.
            try terminal.waitFor("\u{1B}[H\u{1B}[1mNAME")
            try terminal.waitFor("billing  \u{1B}[32mlive\u{1B}[0m          0     0    0")
            func screen(_ numbers: String) -> String {
                "NAME STATE POSITION HEAD LAG SINCE REASON/PEER\n"
                    + "billing live \(numbers) AGO 127.0.0.1:PORT, test"
            }
            try client.publish("a", "1", "2", "3")
            try terminal.waitForScreen(screen("0 3 3"), steady: self.steady)
            _ = try client.events(3, on: stream)
            try client.acknowledge(3, on: stream)
            try terminal.waitForScreen(screen("3 3 0"), steady: self.steady)
            #expect(terminal.display.unknown == [])
            // The terminal's own Ctrl-C.
            terminal.type("\u{3}")
            #expect(try terminal.wait() == .exit(130))
        }

        @Test func aWatchInAPipeHasNoEscapes() throws {
            let client = try SharedServer.connect()
            try client.subscribe("billing")
            let outcome = try Command.run(
                [
                    "/bin/bash", "-c",
                    "'\(Self.program)' subscriptions list --watch=100ms --names | head -n 3",
                ], environment: self.environment(client))
            #expect(outcome.output == "billing\nbilling\nbilling\n")
            #expect(outcome.errors == "")
        }

        @Test func topIsALiveScreenThatGoesAway() throws {
            try withServer { server, _ in
                let client = try TestClient(try server.address())
                let stream = try client.subscribe("billing")
                let sleeper = try client.subscribe("archive")
                try client.client.cancel(sleeper)
                _ = try client.end(of: sleeper)
                let environment = ["DORMOUSE_URL": try server.uri()]
                let terminal = try Terminal(
                    [Self.program, "top", "--every", "100ms", "--utc"], environment: environment,
                    rows: 8, columns: 100)
                func screen(_ published: String, _ rows: [String]) -> String {
                    ([
                        "dormoused/0.1.0 up AGO 2 connections store available TIME", published, "",
                        "NAME EXCHANGE STATE LAG OLDEST IN FLIGHT DONE/S PEER",
                    ] + rows)
                    .joined(separator: "\n")
                }
                try terminal.waitForScreen(
                    screen(
                        "published 0 (RATE/s) delivered 0 (RATE/s)",
                        [
                            "archive main sleeping 0 - 0 0",
                            "billing main live 0 - 0 0 127.0.0.1:PORT",
                        ]),
                    steady: self.steady)
                #expect(terminal.display.isAlternate && terminal.display.isCursorHidden)
                // The worst stands first: two have as much to do, one after the other by name.
                try client.publish((1...1234).map { Event("a", "\($0)") })
                _ = try client.events(1000, on: stream)
                try client.acknowledge(500, on: stream)
                try terminal.waitForScreen(
                    screen(
                        "published 1,234 (RATE/s) delivered 1,000 (RATE/s)",
                        [
                            "archive main sleeping 1,234 AGO 0 0",
                            "billing main waiting 734 AGO 500 0 127.0.0.1:PORT",
                        ]), steady: self.steady)
                #expect(terminal.display.unknown == [])
                terminal.type("xq")
                #expect(try terminal.wait() == .exit(0))
                #expect(!terminal.display.isAlternate && !terminal.display.isCursorHidden)
                #expect(terminal.display.text == "")
                var session = Session(environment)
                try session.run("dormouse top")
                try session.run(
                    "dormouse top --json --every 100ms | head -n 2 | sed -E 's/(d_per_second\":)[0-9]+/\\1N/g'"
                )
                #expect(try session.isRecorded(as: "top"))
            }
        }

        @Test func anEventIsTraced() throws {
            let client = try SharedServer.connect(exchange: "traced")
            for (name, pattern) in [("gone", "a.#"), ("other", "b")] {
                let stream = try client.subscribe(name, pattern)
                try client.client.cancel(stream)
                _ = try client.end(of: stream)
            }
            var event = Event("a.x", "the payload")
            event.id = Array("order-1".utf8)
            event.headers = [Header(name: Array("region".utf8), value: Array("eu".utf8))]
            try client.publish([Event("b", "1"), event, Event("b", "3"), event])
            let awake = try client.subscribe("awake", from: .first)
            _ = try client.events(4, on: awake)
            try client.acknowledge(2, on: awake)
            var session = Session(client)
            for line in [
                "trace 2", "trace 2 --json", "trace order-1 | grep -e ^position -e ^id",
                "trace order-1 --after 2 --json", "trace nothing", "trace 5", "trace 2 --id",
            ] { try session.run("dormouse \(line)") }
            #expect(try session.isRecorded(as: "trace"))
        }

        @Test func aBenchMeasuresAndAsksBefore() throws {
            try withServer { server, _ in
                var session = Session(["DORMOUSE_URL": try server.uri()])
                let steady = "sed -E 's/[0-9][0-9,.]*/N/g; s/ [KMG]?i?B.s/ B.s/'"
                try session.run("dormouse bench --events 5000")
                try session.run("dormouse bench --events 5000 --size 10 --yes | \(steady)")
                try session.run("dormouse bench --events 10 --yes --json | \(steady)")
                try session.run("dormouse admin verify")
                #expect(try session.isRecorded(as: "bench"))
            }
        }
    }
}
