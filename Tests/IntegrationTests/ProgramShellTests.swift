import Foundation
import PlainClient
import Testing

extension Integration {
    /// The command line program as a shell and man(1) meet it.
    @Suite(.serialized)
    struct ProgramShellTests {
        /// What bash offers for a line, with the cursor at its end.
        private func bash(_ line: String) throws -> [String] {
            let script = """
                PATH='\(Server.binaries)':$PATH
                source <(dormouse completion bash)
                COMP_LINE=$1 COMP_POINT=${#1}
                _dormouse
                for word in "${COMPREPLY[@]}"; do echo "$word"; done
                """
            let outcome = try Command.run(
                ["/bin/bash", "-c", script, "bash", line],
                environment: ["DORMOUSE_URL": try SharedServer.server().uri()])
            #expect(outcome.end == .exit(0))
            #expect(outcome.errors == "")
            return outcome.output.split(separator: "\n").map(String.init)
        }

        @Test func bashCompletesCommandsOptionsAndNames() throws {
            let client = try SharedServer.connect()
            for name in ["billing", "mail:eu", "mail:us"] { try client.subscribe(name) }
            #expect(try self.bash("dormouse subs") == ["subscribe", "subscriptions"])
            #expect(
                try self.bash("dormouse subscriptions ") == [
                    "list", "show", "stop", "seek", "pause", "resume", "forget",
                ])
            #expect(try self.bash("dormouse subscriptions list --pre") == ["--prefix"])
            let stop = "dormouse subscriptions stop --exchange \(client.exchange)"
            #expect(try self.bash("\(stop) ") == ["billing", "mail:eu", "mail:us"])
            #expect(try self.bash("\(stop) b") == ["billing"])
            // Bash replaces what is behind the last colon only.
            #expect(try self.bash("\(stop) mail:e") == ["eu"])
            #expect(
                try self.bash("dormouse subscriptions list --exchange=\(client.exchange)")
                    .contains(client.exchange))
        }

        /// As a person meets it: an interactive bash, and the Tab key.
        @Test func theTabKeyCompletesInBash() throws {
            let client = try SharedServer.connect()
            try client.subscribe("billing")
            let terminal = try Terminal(
                ["/bin/bash", "--norc", "--noprofile", "-i"],
                environment: [
                    "DORMOUSE_URL": "\(client.client.address)/\(client.exchange)", "PS1": "ready> ",
                    "INPUTRC": "/dev/null", "HISTFILE": "",
                ])
            try terminal.waitFor("ready> ")
            terminal.type("PATH='\(Server.binaries)':$PATH; source <(dormouse completion bash)\n")
            terminal.type("dormouse subscriptions sh\tbil\t--js\t\n")
            try terminal.waitFor("\"name\":\"billing\"")
            #expect(terminal.shown.contains("dormouse subscriptions show billing --json"))
            terminal.type("exit\n")
            #expect(try terminal.wait() == .exit(0))
        }

        /// The path of a shell, which scripts/install-dependencies.sh brings for the tests.
        private static func shell(_ name: String) -> String? {
            ["/bin/\(name)", "/usr/bin/\(name)", "/usr/local/bin/\(name)"].first {
                FileManager.default.isExecutableFile(atPath: $0)
            }
        }

        /// The script as it is, and what it prints, without a terminal.
        private func check(_ shell: String, _ arguments: [String]) throws -> Command.Outcome {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let script = "\(folder)/_dormouse"
            let printed = try Command.check(["\(Server.binaries)/dormouse", "completion", shell])
            try Data(printed.utf8).write(to: URL(fileURLWithPath: script))
            return try Command.run(
                [try #require(Self.shell(shell))] + arguments + [script],
                environment: [
                    "DORMOUSE_URL": try SharedServer.server().uri(), "HOME": folder,
                    "PATH": "\(Server.binaries):/usr/bin:/bin",
                ])
        }

        @Test(
            .enabled(if: shell("zsh") != nil && shell("fish") != nil), arguments: ["zsh", "fish"])
        func theScriptsOfOtherShellsAreWellFormed(name: String) throws {
            let outcome = try self.check(name, [name == "fish" ? "--no-execute" : "-n"])
            #expect(outcome.end == .exit(0) && outcome.errors == "", "\(outcome.errors)")
        }

        @Test(.enabled(if: shell("zsh") != nil))
        func theTabKeyCompletesInZsh() throws {
            let client = try SharedServer.connect()
            for name in ["billing", "mail:eu"] { try client.subscribe(name) }
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let terminal = try Terminal(
                [try #require(Self.shell("zsh")), "-f", "-i"],
                environment: [
                    "DORMOUSE_URL": "\(client.client.address)/\(client.exchange)", "PS1": "ready> ",
                    "HOME": folder, "ZDOTDIR": folder, "PATH": "\(Server.binaries):/usr/bin:/bin",
                ], columns: 120)
            try terminal.waitFor("ready> ")
            terminal.type(
                "autoload -U compinit; compinit -u -d $HOME/dump; unsetopt zle_bracketed_paste\n")
            terminal.type("source <(dormouse completion zsh); echo is read''y\n")
            try terminal.waitFor("\nis ready\n")
            terminal.type("dormouse subscriptions sh\tbil\t--js\t\n")
            try terminal.waitFor("\"name\":\"billing\"")
            terminal.type("dormouse subscriptions show mail\t--json\n")
            try terminal.waitFor("\"name\":\"mail:eu\"")
            terminal.type("exit\n")
            #expect(try terminal.wait() == .exit(0))
        }

        @Test(.enabled(if: shell("fish") != nil))
        func fishCompletesCommandsOptionsAndNames() throws {
            let client = try SharedServer.connect()
            for name in ["billing", "mail:eu"] { try client.subscribe(name) }
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            try Data().write(to: URL(fileURLWithPath: "\(folder)/events.jsonl"))
            func offered(_ line: String) throws -> [String] {
                let outcome = try Command.run(
                    [
                        try #require(Self.shell("fish")), "--no-config", "-c",
                        "dormouse completion fish | source; complete -C $argv[1]", line,
                    ],
                    environment: [
                        "DORMOUSE_URL": "\(client.client.address)/\(client.exchange)",
                        "HOME": folder, "PATH": "\(Server.binaries):/usr/bin:/bin",
                    ])
                #expect(outcome.end == .exit(0) && outcome.errors == "", "\(outcome.errors)")
                return outcome.output.split(separator: "\n").map {
                    String($0.split(separator: "\t")[0])
                }
            }
            #expect(try offered("dormouse subs") == ["subscribe", "subscriptions"])
            #expect(
                try offered("dormouse subscriptions ").sorted() == [
                    "forget", "list", "pause", "resume", "seek", "show", "stop",
                ])
            #expect(try offered("dormouse subscriptions list --pre") == ["--prefix"])
            #expect(try offered("dormouse stop ").sorted() == ["billing", "mail:eu"])
            #expect(try offered("dormouse stop mail:") == ["mail:eu"])
            #expect(
                try offered("dormouse publish key \(folder)/ev") == ["\(folder)/events.jsonl"])
        }

        @Test func bashCompletesFileNamesWhereAFileIsWanted() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            try Data().write(to: URL(fileURLWithPath: "\(folder)/events.jsonl"))
            #expect(
                try self.bash("dormouse publish key \(folder)/ev") == [
                    "\(folder)/events.jsonl"
                ])
        }

        @Test func aServerThatDoesNotAnswerCompletesNothingAndSaysNothing() throws {
            #expect(
                try self.bash("dormouse subscriptions stop --server dormouse://127.0.0.1:1 ") == [])
        }

        @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/mandoc")))
        func theManualPageIsWellFormed() throws {
            let outcome = try Command.run([
                "/usr/bin/mandoc", "-Tlint", "\(ProgramTests.package)/docs/man/dormouse.1",
            ])
            let complaints = outcome.output.split(separator: "\n").filter {
                !$0.contains("referenced manual not found")
            }
            #expect(complaints == [])
        }
    }
}
