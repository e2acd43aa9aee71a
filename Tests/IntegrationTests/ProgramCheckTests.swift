import Core
import PlainClient
import Testing
import Wire

extension Integration {
    /// What the program finds wrong with subscriptions.
    @Suite(.serialized)
    struct ProgramCheckTests {
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
