import Core
import PlainClient
import Testing
import Wire

extension Integration {
    /// What the program finds wrong with subscriptions.
    @Suite(.serialized)
    struct ProgramCheckTests {
        @Test func explanationsAreTrue() throws {
            let client = try SharedServer.connect(exchange: "explained")
            var session = Session(client)
            let sleeper = try client.subscribe("sleeper", "a.#")
            try client.client.cancel(sleeper)
            _ = try client.end(of: sleeper)
            try session.run("dormouse explain sleeper")
            try client.publish("b", "1", "2")
            try session.run("dormouse explain sleeper")
            try client.publish("a.x", "3")
            try session.run("dormouse explain sleeper")
            try session.run("dormouse explain sleeper --json")
            try session.run("dormouse pause sleeper --until 2126-01-01T00:00Z --reason upgrade")
            try session.run("dormouse explain sleeper")
            try session.run("dormouse resume sleeper")
            var request = client.subscribeRequest("stuck")
            request.start = .first
            request.creditEvents = 2
            let (stuck, _) = try client.subscribe(request)
            _ = try client.events(2, on: stuck)
            try session.run("dormouse explain stuck")
            let awake = try client.subscribe("awake", "a.#", from: .first)
            _ = try client.events(1, on: awake)
            try session.run("dormouse explain awake")
            try client.acknowledge(3, on: awake)
            try session.run("dormouse explain awake")
            try session.run("dormouse explain awaek")
            #expect(try session.isRecorded(as: "explain"))
        }

        @Test func checksEndAsMonitoringWantsIt() throws {
            let client = try SharedServer.connect(exchange: "checked")
            let stream = try client.subscribe("billing")
            try client.publish("a", "1", "2", "3")
            _ = try client.events(3, on: stream)
            var session = Session(client)
            for line in [
                "check", "check billing --lag-warn 3", "check billing --lag-warn 2",
                "check billing --lag-warn 1 --lag-crit 2 --age-crit 1h",
                "check --lag-crit 2 --json",
                "check bilingl", "check billing --lag-warn x", "check --exchange nothing",
                "check --server dormouse://127.0.0.1:1",
            ] { try session.run("dormouse \(line)") }
            try client.acknowledge(3, on: stream)
            try session.run("dormouse check billing --lag-warn 0 --age-warn 0s")
            #expect(try session.isRecorded(as: "check"))
        }
    }
}
