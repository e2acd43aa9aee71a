import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// The command line program, as people use it.
    @Suite(.serialized)
    struct ProgramTests {
        static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().path

        static var hasHistory: Bool {
            FileManager.default.fileExists(atPath: "\(Self.package)/.git")
        }

        private func run(
            _ arguments: String..., input: String = "", exchange: TestClient? = nil
        ) throws -> Command.Outcome {
            var arguments = ["\(Server.binaries)/dormouse"] + arguments
            if let exchange { arguments += ["--exchange", exchange.exchange] }
            return try Command.run(arguments, input: input, environment: try self.environment)
        }

        private var environment: [String: String] {
            get throws { ["DORMOUSE_URL": try SharedServer.server().address().description] }
        }

        @Test(.enabled(if: hasHistory, "there is no history here"))
        func thisRepositorysHistoryGoesThroughAPipe() throws {
            let client = try SharedServer.connect()
            let script = """
                set -o pipefail; cd '\(Self.package)'; scripts/git-events.sh \
                | '\(Server.binaries)/dormouse' publish --json-lines --exchange \(client.exchange)
                """
            var environment = try self.environment
            // The repository may belong to another user.
            environment["GIT_CONFIG_COUNT"] = "1"
            environment["GIT_CONFIG_KEY_0"] = "safe.directory"
            environment["GIT_CONFIG_VALUE_0"] = "*"
            let published = try Command.run(
                ["/bin/bash", "-c", script], environment: environment)
            #expect(published.end == .exit(0), "\(published.errors)")
            let log = try Command.run(
                ["/usr/bin/env", "git", "-C", Self.package, "rev-list", "--count", "HEAD"],
                environment: environment)
            let count = try #require(
                Int(log.output.trimmingCharacters(in: .whitespacesAndNewlines)))
            let rows = try SharedServer.database().number(
                """
                SELECT count(*) FROM dormouse.events WHERE exchange = '\(client.exchange)'
                    AND key LIKE 'commit.%' AND id = payload_json->>'hash'
                    AND payload_json->>'subject' <> ''
                """)
            #expect(rows == count)

            let first = try self.run(
                "subscribe", "history", "--pattern", "commit.#", "--from", "first", "--count", "1",
                exchange: client)
            #expect(first.end == .exit(0))
            #expect(first.output.hasPrefix("1  "))
            #expect(try client.subscription("history").position == 1)
            let rest = try self.run(
                "subscribe", "history", "--pattern", "commit.#", "--count", "\(count - 1)",
                "--json", exchange: client)
            #expect(rest.end == .exit(0))
            #expect(rest.output.split(separator: "\n").count == count - 1)
            #expect(rest.output.hasPrefix("{\"position\":2,"))
            #expect(try client.subscription("history").position == UInt64(count))
        }

        @Test func linesAndFilesAndSingleEventsArePublished() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("all")
            let single = try self.run("publish", "a.b", "payload", exchange: client)
            #expect(single.end == .exit(0))
            #expect(single.output == "published 1 event at position 1\n")
            _ = try self.run("publish", "a.b", "-", input: "from\nstdin", exchange: client)
            _ = try self.run("publish", "a.b", "--lines", input: "1\n2\n\n3", exchange: client)
            #expect(
                try client.payloads(6, on: stream) == ["payload", "from\nstdin", "1", "2", "", "3"])
        }

        @Test func aRepeatedPipeIsStoredOnce() throws {
            let client = try SharedServer.connect()
            for _ in 1...2 {
                let outcome = try self.run(
                    "publish", "a", "--lines", "--producer", "pipe", "--sequence", "1",
                    input: "1\n2\n3\n", exchange: client)
                #expect(outcome.end == .exit(0))
            }
            // Whose connection is older than theirs may not ask as this producer.
            let other = try SharedServer.connect(like: client)
            #expect(try other.producer("pipe").position == 3)
            #expect(try client.publish("a", "next").firstPosition == 4)
        }

        @Test func aSubscriberThatIsStoppedSleepsAndEnds() throws {
            let client = try SharedServer.connect()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let child = try Child(
                [
                    "\(Server.binaries)/dormouse", "subscribe", "name", "--exchange",
                    client.exchange,
                ], in: folder, label: "subscribe", environment: try self.environment)
            defer { child.destroy() }
            try eventually("it is awake") {
                try client.list().subscriptions.contains { $0.state != .sleeping }
            }
            try client.publish("a", "1")
            try eventually("it printed the event") { child.output.hasSuffix("1\n") }
            let stopped = try self.run("stop", "name", exchange: client)
            #expect(stopped.end == .exit(0))
            let end = try child.wait()
            #expect(end != .exit(0))
            #expect(child.errors.contains("STOPPED"))
            try eventually("it had acknowledged") {
                try client.subscription("name").position == 1
            }
        }

        @Test func aSubscriberThatIsTerminatedHasAcknowledgedWhatItPrinted() throws {
            let client = try SharedServer.connect()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            try client.publish("a", "1", "2", "3")
            let child = try Child(
                [
                    "\(Server.binaries)/dormouse", "subscribe", "name", "--from", "first",
                    "--exchange", client.exchange,
                ], in: folder, label: "subscribe", environment: try self.environment)
            defer { child.destroy() }
            try eventually("it printed the events") {
                child.output.split(separator: "\n").count == 3
            }
            child.signal(SIGTERM)
            #expect(try child.wait() == .exit(143))
            let entry = try client.subscription("name")
            #expect(entry.position == 3)
            #expect(entry.state == .sleeping)
        }

        @Test func listingsShowWhatIsThere() throws {
            let client = try SharedServer.connect()
            let stream = try client.subscribe("awake", "a.#")
            try client.publish("a", "1", "2")
            _ = try client.events(2, on: stream)
            try client.acknowledge(1, on: stream)
            let table = try self.run("subscriptions", exchange: client)
            #expect(table.end == .exit(0))
            #expect(table.output.contains("awake"))
            let json = try self.run("subscriptions", "--json", exchange: client)
            #expect(json.output.contains("\"state\":\"live\""))
            #expect(json.output.contains("\"position\":1"))
            let exchanges = try self.run("exchanges")
            #expect(exchanges.output.contains(client.exchange))
            let state = try self.run("state", exchange: client)
            let parsed =
                try JSONSerialization.jsonObject(with: Data(state.output.utf8))
                as? [[String: Any]]
            #expect(parsed?.count == 1)
            #expect(parsed?.first?["consumers"] as? [String: Int] == ["awake": 1])
            let config = parsed?.first?["config"] as? [String: Any]
            #expect(config?["patterns"] as? [String] == ["a.#"])
        }

        @Test func mistakesEndWithAReasonAndACode() throws {
            let client = try SharedServer.connect()
            try client.subscribe("name", "a")
            let cases: [([String], Int32, String)] = [
                (["nonsense"], 64, "nonsense"),
                (["publish"], 64, "usage"),
                (["publish", "a..b", "x"], 64, "INVALID_ARGUMENT"),
                (["stop", "nobody"], 1, "NOT_FOUND"),
                (["publish", "a", "x", "--exchange", "nowhere"], 1, "NOT_FOUND"),
                (["subscribe", "a b"], 64, "name"),
                (["server", "--url", "dormouse://127.0.0.1:1"], 69, "UNAVAILABLE"),
            ]
            for (arguments, code, text) in cases {
                let outcome = try Command.run(
                    ["\(Server.binaries)/dormouse"] + arguments,
                    environment: try self.environment)
                #expect(outcome.end == .exit(code), "\(arguments): \(outcome.errors)")
                #expect(outcome.errors.contains(text))
            }
            let other = try self.run("subscribe", "name", "--pattern", "b", exchange: client)
            #expect(other.end == .exit(1))
            #expect(other.errors.contains("FAILED_PRECONDITION"))
        }
    }
}
