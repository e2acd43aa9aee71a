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

        @Test func aWatchedListFollowsWhatHappens() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("billing")
            let terminal = try Terminal(
                [Self.program, "subscriptions", "list", "--watch=100ms"],
                environment: self.environment(client))
            try terminal.waitFor("\u{1B}[H\u{1B}[1mNAME")
            try terminal.waitFor("billing  \u{1B}[32mlive\u{1B}[0m          0     0    0")
            try client.publish("a", "1", "2", "3")
            try terminal.waitFor("billing  \u{1B}[32mlive\u{1B}[0m          0     3    3")
            _ = try client.events(3, on: stream)
            try client.acknowledge(3, on: stream)
            try terminal.waitFor("billing  \u{1B}[32mlive\u{1B}[0m          3     3    0")
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
            let client = try SharedServer.connect()
            let stream = try client.subscribe("billing")
            let terminal = try Terminal(
                [Self.program, "top", "--every", "100ms"], environment: self.environment(client),
                rows: 10, columns: 100)
            try terminal.waitFor("\u{1B}[?1049h\u{1B}[?25l\u{1B}[Hdormoused/")
            try terminal.waitFor("store available")
            try client.publish((1...1234).map { Event("a", "\($0)") })
            try terminal.waitFor("1,234")
            _ = try client.events(1000, on: stream)
            terminal.type("xq")
            #expect(try terminal.wait() == .exit(0))
            #expect(terminal.shown.hasSuffix("\u{1B}[?25h\u{1B}[?1049l"))
            #expect(!terminal.shown.contains("xq"))
            let pipe = try Command.run(
                [Self.program, "top"], environment: self.environment(client))
            #expect(pipe.end == .exit(64))
            #expect(pipe.errors.contains("top needs a terminal; use"))
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

        @Test func aLogIsVerified() throws {
            try withServer { server, database in
                let client = try TestClient(try server.address())
                try client.createExchange("orders")
                try client.publish((1...5000).map { Event("a", "\($0)") })
                client.exchange = "orders"
                try client.publish("a", "1")
                var session = Session(["DORMOUSE_URL": try server.uri()])
                try session.run("dormouse admin verify")
                try session.run("dormouse admin verify --exchange orders --json")
                try session.run("dormouse admin verify --exchange order")
                try session.run("dormouse admin")
                #expect(try session.isRecorded(as: "verify"))
            }
        }
    }
}
