import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Events to a file and back.
    @Suite(.serialized)
    struct ProgramExportTests {
        private static let program = "\(Server.binaries)/dormouse"

        private func command(
            _ client: TestClient, _ arguments: String..., input: String? = nil
        ) throws -> Command.Outcome {
            let outcome = try Command.run(
                [Self.program] + arguments, input: input ?? "",
                environment: ["DORMOUSE_URL": "\(client.client.address)/\(client.exchange)"],
                seconds: 300)
            #expect(outcome.end == .exit(0), "\(arguments): \(outcome.errors)")
            return outcome
        }

        @Test(arguments: ["jsonl", "pb"])
        func aMillionEventsComeBackAsTheyWere(suffix: String) throws {
            let client = try SharedServer.connect()
            let other = try SharedServer.connect()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let lines = (1...1_000_000).map { "number \($0) \u{1F42D}" }.joined(separator: "\n")
            let published = try self.command(
                client, "publish", "k.mouse", "--lines", "--header", "a=b", input: lines)
            #expect(published.output == "published 1,000,000 events, positions 1 to 1000000\n")
            let (first, second) = ("\(folder)/first.\(suffix)", "\(folder)/second.\(suffix)")
            _ = try self.command(client, "export", first, "--no-positions")
            _ = try self.command(other, "import", first)
            _ = try self.command(other, "export", second, "--no-positions")
            let bytes = try Data(contentsOf: URL(fileURLWithPath: first))
            #expect(bytes.count > 20_000_000)
            #expect(try bytes == Data(contentsOf: URL(fileURLWithPath: second)))
        }

        @Test(arguments: ["jsonl", "pb"])
        func whatIsNoTextComesBackAsItWas(suffix: String) throws {
            let client = try SharedServer.connect()
            let other = try SharedServer.connect()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            var numbers = SeededNumbers.fresh(for: "whatIsNoTextComesBackAsItWas")
            try client.publish(
                (0..<500).map { _ in
                    Event(
                        key: Array("a.b".utf8),
                        payload: numbers.bytes(Int.random(in: 0...300, using: &numbers)),
                        id: numbers.bytes(Int.random(in: 0...64, using: &numbers)),
                        contentType: numbers.bytes(Int.random(in: 0...9, using: &numbers)),
                        headers: (0..<Int.random(in: 0...5, using: &numbers)).map { _ in
                            Header(
                                name: numbers.bytes(Int.random(in: 1...2, using: &numbers)),
                                value: numbers.bytes(Int.random(in: 0...9, using: &numbers)))
                        })
                })
            let file = "\(folder)/events.\(suffix)"
            _ = try self.command(client, "export", file)
            _ = try self.command(other, "import", file)
            let columns = "position, key, id, content_type, headers, payload"
            let differences = try SharedServer.database().number(
                """
                SELECT count(*) FROM (
                    (SELECT \(columns) FROM dormouse.events WHERE exchange = '\(client.exchange)')
                    EXCEPT
                    (SELECT \(columns) FROM dormouse.events WHERE exchange = '\(other.exchange)')) d
                """)
            #expect(differences == 0)
            #expect(try other.publish("last", "").firstPosition == 501)
            let (left, right) = ("\(folder)/left.pb", "\(folder)/right.pb")
            _ = try self.command(client, "export", left, "--no-positions")
            _ = try self.command(other, "export", right, "--no-positions", "--to", "500")
            #expect(
                try Data(contentsOf: URL(fileURLWithPath: left))
                    == Data(contentsOf: URL(fileURLWithPath: right)))
        }

        @Test func anExportIsAsOneAsked() throws {
            let client = try SharedServer.connect(exchange: "exported")
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            try client.publish(
                (1...6).map { Event($0 % 2 == 0 ? "even" : "odd.one", "\($0)") })
            var session = Session(client)
            session.folder = folder
            for line in [
                "export", "export --no-positions --pattern even", "export --after 4",
                "export --after 1 --to 3 --no-positions", "export --after 6",
                "export --pattern nothing", "export $FOLDER/a.jsonl", "export $FOLDER/a.jsonl",
                "export $FOLDER/a.jsonl --yes --after 3", "export $FOLDER/b.pb --json",
                "export $FOLDER/no/a",
                "export --format xml", "export --exchange exporte",
                "export --format protobuf --no-positions --to 1 | od -An -tx1",
                "import $FOLDER/a.jsonl --producer a", "import $FOLDER/a.jsonl --producer a",
                "import $FOLDER/a.jsonl --producer a --json",
                "import $FOLDER/none", "import $FOLDER/a.jsonl --format xml",
                "export --format protobuf | head -c 30 | dormouse import --format protobuf --json",
                "fetch --after 9 | cut -d ' ' -f 1,5-",
            ] { try session.run("dormouse \(line)") }
            try session.run("printf '\\003\\377\\377\\377' | dormouse import --format protobuf")
            #expect(try session.isRecorded(as: "export"))
        }

        @Test func whoeverWaitsAtATerminalSeesABar() throws {
            let client = try SharedServer.connect()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let file = "\(folder)/events.jsonl"
            try client.publish((1...1000).map { Event("a", "\($0)") })
            let environment = ["DORMOUSE_URL": "\(client.client.address)/\(client.exchange)"]
            let export = try Terminal([Self.program, "export", file], environment: environment)
            #expect(try export.wait() == .exit(0))
            #expect(export.shown.contains("\rexporting ["))
            #expect(export.shown.hasSuffix("\r\u{1B}[Kexported 1,000 events to \(file)\n"))
            let load = try Terminal([Self.program, "import", file], environment: environment)
            #expect(try load.wait() == .exit(0))
            #expect(load.shown.contains("\rimporting ["))
            try client.publish((1...20_000).map { Event("b", "a payload with the number \($0)") })
            let lines = "\(folder)/lines"
            for (command, title) in [
                ("subscribe name --from first --count 21000 > \(lines)", "replaying"),
                ("subscribe name --from first --reposition --count 2 --json > /dev/null", ""),
                ("fetch --count 21000 > /dev/null", "fetching"),
                ("publish k --lines < \(lines)", "publishing"),
                ("admin verify", "verifying \(client.exchange)"),
            ] {
                let terminal = try Terminal(
                    ["/bin/bash", "-c", "'\(Self.program)' \(command)"], environment: environment)
                #expect(try terminal.wait() == .exit(0), "\(command): \(terminal.shown)")
                if title.isEmpty {
                    #expect(!terminal.shown.contains("["), "\(command): \(terminal.shown)")
                } else {
                    #expect(
                        terminal.shown.contains("\r\(title) ["), "\(command): \(terminal.shown)")
                }
                // It goes away, and nothing of it stays behind.
                #expect(!terminal.display.text.contains("[#"), "\(command)")
                #expect(!terminal.display.text.contains("[-"), "\(command)")
            }
            let quiet = try Terminal(
                [Self.program, "export", file, "--yes", "--no-progress"], environment: environment)
            #expect(try quiet.wait() == .exit(0))
            #expect(quiet.shown == "exported 43,000 events to \(file)\n")
        }
    }
}
