import Core
import PlainClient
import Testing
import Wire

extension Integration {
    /// What the command line program shows of a server, as a whole.
    @Suite(.serialized)
    struct ProgramListTests {
        @Test func oneSubscriptionIsShown() throws {
            let client = try SharedServer.connect(exchange: "shop")
            try client.publish("a", "1", "2", "3")
            var request = client.subscribeRequest("billing", ["a.#", "b"])
            request.start = .first
            request.config.headers = [
                HeaderMatchMessage(name: Array("region".utf8), value: Array("eu".utf8)),
                HeaderMatchMessage(name: Array("test".utf8), kind: .absent),
            ]
            let (stream, _) = try client.subscribe(request)
            var session = Session(client)
            try session.run("dormouse subscriptions show billing")
            try client.client.cancel(stream)
            _ = try client.end(of: stream)
            try session.run("dormouse subscriptions show billing")
            try session.run("dormouse subscriptions show billing --json")
            try session.run("dormouse subscriptions list")
            try session.run("dormouse subscriptions list --json")
            try session.run("dormouse subscriptions pause billing --reason upgrade --json")
            try session.run("dormouse subscriptions list --names")
            try session.run("dormouse subscriptions show billing | grep -e state -e reason")
            try session.run("dormouse resume billing")
            try session.run("dormouse subscriptions resume billing --json")
            try session.run("dormouse seek billing --to last --json")
            try session.run("dormouse stop billing --json")
            try session.run("dormouse forget billing")
            try session.run("dormouse forget billing --yes")
            try client.subscribe("other")
            try session.run("dormouse subscriptions forget other --yes --json")
            #expect(try session.isRecorded(as: "one-subscription"))
        }

        @Test func receiversAndConnectionsAreListed() throws {
            // Numbers of receivers are the database's.
            try withServer { server, _ in
                let client = try TestClient(try server.address())
                _ = try client.subscribe("one", "a.#")
                _ = try client.subscribe("two", "a.#")
                let sleeper = try client.subscribe("three", "b")
                try client.client.cancel(sleeper)
                _ = try client.end(of: sleeper)
                let ephemeral = try TestClient(try server.address())
                let nameless = try ephemeral.subscribe("", "c")
                try ephemeral.publish((1...1234).map { Event("c", "\($0)") })
                _ = try ephemeral.events(1000, on: nameless)
                var session = Session(["DORMOUSE_URL": try server.uri()])
                try session.run("dormouse receivers list")
                try session.run("dormouse receivers list --json")
                try session.run("dormouse connections list")
                try session.run("dormouse connections list --json")
                #expect(try session.isRecorded(as: "receivers-and-connections"))
            }
        }

        @Test func exchangesAreMadeAndListed() throws {
            try withServer { server, _ in
                let client = try TestClient(try server.address())
                try client.publish("a", String(repeating: "x", count: 2000))
                var session = Session(client)
                try session.run("dormouse exchanges create main")
                try session.run("dormouse exchanges create orders")
                try session.run("dormouse exchanges create 'a b'")
                try session.run("dormouse exchanges create test --json")
                try session.run("dormouse exchanges list")
                try session.run("dormouse exchanges list --json")
                try session.run("dormouse exchanges list --names")
                try session.run("dormouse server")
                try session.run("dormouse server --json")
                #expect(try session.isRecorded(as: "exchanges"))
            }
        }

        @Test func namesThatAreNotThereAreAnsweredWithTheNearest() throws {
            let client = try SharedServer.connect(exchange: "nearest")
            try client.subscribe("billing")
            var session = Session(client)
            for line in [
                "subscriptions show biling", "subscriptions stop bilingg",
                "subscriptions pause billnig", "subscriptions forget bill --yes",
                "subscriptions seek xyzzy --to first", "publish a b --exchange naerest",
                "subscribe x --exchange mian", "fetch --exchange mian",
                "subscriptions list --exchange mian", "state --exchange mian",
            ] {
                try session.run("dormouse \(line)")
            }
            #expect(try session.isRecorded(as: "nearest-names"))
        }

    }
}
