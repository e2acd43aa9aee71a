import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// How commands end when something is wrong.
    @Suite(.serialized)
    struct ProgramFailureTests {
        private static let program = "\(Server.binaries)/dormouse"

        /// Every command that asks a server, with what it needs to get so far.
        private static let asking = [
            "publish k x", "subscribe name", "subscribe --ephemeral", "fetch", "export", "import",
            "subscriptions list", "subscriptions show n", "subscriptions stop n",
            "subscriptions seek n --to first", "subscriptions pause n", "subscriptions resume n",
            "subscriptions forget n --yes", "explain n", "trace 1", "top", "exchanges list",
            "exchanges create e", "receivers list", "connections list", "state", "server",
            "admin verify", "admin restored --yes", "bench --yes", "outbox list",
            "outbox retry --all", "outbox drop --all --yes",
            "principals add p subscribe --token-file t", "principals grant p subscribe",
            "principals revoke p --yes", "principals rotate p --token-file t", "principals list",
        ]

        /// Those that ask none, with a mistake; `check` says what is wrong on standard output.
        private static let others = [
            "context add x http://y", "context select none", "context remove none",
            "context list extra", "completion none",
        ]

        private struct Told: Decodable {
            let code: String
            let exit: Int32
            let message: String
            let advice: String
        }

        private func run(_ line: String, _ more: String...) throws -> Command.Outcome {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            return try Command.run(
                [Self.program] + line.split(separator: " ").map(String.init) + more,
                environment: [
                    "DORMOUSE_URL": "dormouse://127.0.0.1:1", "HOME": folder,
                    "XDG_CONFIG_HOME": folder,
                ])
        }

        /// One object on one line, and nothing else anywhere.
        private func told(_ outcome: Command.Outcome, of line: String) throws -> Told {
            #expect(outcome.output == "", "\(line)")
            #expect(outcome.errors.hasSuffix("}\n"), "\(line)")
            #expect(outcome.errors.split(separator: "\n").count == 1, "\(line)")
            let told = try JSONDecoder().decode(Told.self, from: Data(outcome.errors.utf8))
            #expect(outcome.end == .exit(told.exit), "\(line)")
            #expect(!told.code.isEmpty && !told.message.isEmpty && !told.advice.isEmpty, "\(line)")
            return told
        }

        /// The commands that `--help` lists.
        private func commands() throws -> Set<String> {
            let help = try Command.check([Self.program, "--help"])
            let list = help.split(separator: "\n\nOptions")[0].split(separator: "\n")
            return Set(
                list.filter { $0.hasPrefix("  ") }
                    .map { String($0.dropFirst(2).split(separator: "  ")[0]) })
        }

        @Test func withoutAServerEveryCommandSaysSoAsJSON() throws {
            for line in Self.asking {
                let told = try self.told(try self.run(line, "--json"), of: line)
                #expect(told.code == "UNAVAILABLE" && told.exit == 69, "\(line)")
                #expect(told.message.contains("127.0.0.1:1"), "\(line)")
                #expect(told.advice.contains("dormoused"), "\(line)")
            }
        }

        @Test func everyMistakeInTheUseIsJSON() throws {
            for command in try self.commands() {
                // An option that no command has; `check` speaks as a plugin.
                let outcome = try self.run(command, "--nonsense", "--json")
                let told = try self.told(outcome, of: command)
                #expect(told.code == "USAGE" && told.exit == 64, "\(command)")
                #expect(told.message.contains("has no option --nonsense"), "\(command)")
            }
            for line in Self.others { _ = try self.told(try self.run(line, "--json"), of: line) }
            for line in ["nonsense", "subscriptions", "subscriptions nonsense", "--nonsense", ""]
            where line != "subscriptions" {
                let told = try self.told(try self.run(line, "--json"), of: line)
                #expect(told.exit == 64, "\(line)")
            }
        }

        /// A new command is added to these lists, or a test fails.
        @Test func noCommandIsForgotten() throws {
            let tried = Self.asking + Self.others + ["check"]
            for command in try self.commands() {
                #expect(
                    tried.contains { $0 == command || $0.hasPrefix(command + " ") }, "\(command)")
            }
        }

        @Test func textSaysTheSameOnOneLine() throws {
            for line in Self.asking where line != "top" {
                let outcome = try self.run(line)
                #expect(outcome.end == .exit(69), "\(line)")
                #expect(outcome.errors.hasPrefix("dormouse: cannot connect: "), "\(line)")
                #expect(
                    outcome.errors.hasSuffix(
                        "; start dormoused, or say where it is with --server or --context "
                            + "[UNAVAILABLE]\n"), "\(line): \(outcome.errors)")
            }
        }

        @Test func everyHelpShowsTwoExamples() throws {
            for command in try self.commands() {
                let help = try Command.check(
                    [Self.program] + command.split(separator: " ").map(String.init) + ["--help"])
                let examples = help.split(separator: "\nExamples:\n")[1].split(separator: "\n")
                #expect(examples.count == 2, "\(command)")
                #expect(examples.allSatisfy { $0.contains("dormouse \(command)") }, "\(command)")
                #expect(help.contains("\nusage: dormouse \(command)"), "\(command)")
            }
        }

        /// What is gone for good, or stays for good, is not done by accident.
        @Test func nothingDestructiveHappensUnasked() throws {
            let client = try SharedServer.connect()
            try client.subscribe("name")
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let environment = [
                "DORMOUSE_URL": "\(client.client.address)/\(client.exchange)", "HOME": folder,
                "XDG_CONFIG_HOME": folder,
            ]
            let file = "\(folder)/file.jsonl"
            try Data("precious".utf8).write(to: URL(fileURLWithPath: file))
            _ = try Command.check(
                [Self.program, "context", "add", "prod", "h"], environment: environment)
            for line in [
                "subscriptions forget name", "context remove prod", "admin restored", "bench",
                "export \(file)",
            ] {
                let outcome = try Command.run(
                    [Self.program] + line.split(separator: " ").map(String.init),
                    environment: environment)
                #expect(outcome.end != .exit(0), "\(line)")
                #expect(outcome.errors.contains("--yes"), "\(line)")
            }
            #expect(Folder.text(file) == "precious")
            #expect(try client.subscription("name").name == Array("name".utf8))
            #expect(
                try Command.check(
                    [Self.program, "context", "list", "--names"], environment: environment)
                    == "prod\n")
        }
    }
}
