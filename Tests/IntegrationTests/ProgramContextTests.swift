import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Named addresses, and what is asked before something is removed.
    @Suite(.serialized)
    struct ProgramContextTests {
        private static let program = "\(Server.binaries)/dormouse"

        /// Its outputs, errors and exit codes, as one would see them.
        private func session(
            _ home: String, _ commands: [[String]], input: String = "",
            environment: [String: String] = [:]
        ) throws -> String {
            var text = ""
            for command in commands {
                let outcome = try Command.run(
                    [Self.program] + command, input: input,
                    environment: ["HOME": home, "XDG_CONFIG_HOME": ""].merging(environment) { $1 })
                text += "$ dormouse \(command.joined(separator: " "))\n"
                text += outcome.output + outcome.errors
                if outcome.end != .exit(0) { text += "(\(outcome.end))\n" }
            }
            return text
        }

        @Test func contextsAreNamedSelectedAndRemoved() throws {
            let home = try Folder.make()
            defer { Folder.remove(home) }
            let text = try self.session(
                home,
                [
                    ["context", "list"],
                    ["context", "add", "prod", "dormouses://id.secret@db.example.com/orders"],
                    ["context", "add", "test", "127.0.0.1:4000"],
                    ["context", "list"], ["context", "select", "tset"],
                    ["context", "select", "test", "--json"], ["context", "list", "--json"],
                    ["context", "list", "--names"], ["context", "add", "x", "http://x"],
                    ["context", "add", "a b", "h"], ["context", "remove", "test"],
                    ["context", "remove", "test", "--yes"], ["context", "list"],
                    ["context", "add", "old", "h", "--json"],
                    ["context", "remove", "old", "--yes", "--json"],
                    ["server", "--context", "prdo"], ["server", "--context", "x", "--server", "y"],
                ])
            #expect(
                text == """
                    $ dormouse context list
                      NAME  ADDRESS
                    $ dormouse context add prod dormouses://id.secret@db.example.com/orders
                    added 'prod', which is selected
                    $ dormouse context add test 127.0.0.1:4000
                    added 'test'
                    $ dormouse context list
                       NAME  ADDRESS
                    *  prod  dormouses://…@db.example.com/orders
                       test  127.0.0.1:4000
                    $ dormouse context select tset
                    dormouse: there is no context 'tset'; did you mean 'test'?
                    (exit(64))
                    $ dormouse context select test --json
                    {"name":"test","selected":true}
                    $ dormouse context list --json
                    {"name":"prod","selected":false,"address":"dormouses://…@db.example.com/orders"}
                    {"name":"test","selected":true,"address":"127.0.0.1:4000"}
                    $ dormouse context list --names
                    prod
                    test
                    $ dormouse context add x http://x
                    dormouse: the address is not one: the URI does not begin with dormouse://, dormouses:// \
                    or unix:; expected for example dormouse://127.0.0.1:3673/main [INVALID_ARGUMENT]
                    (exit(64))
                    $ dormouse context add a b h
                    dormouse: the context's name has a byte 32 at place 1; expected 1 to 128 of A-Z a-z 0-9 \
                    . _ : - [INVALID_ARGUMENT]
                    (exit(64))
                    $ dormouse context remove test
                    dormouse: this removes the context 'test' and its address; if you mean it, give --yes
                    (exit(64))
                    $ dormouse context remove test --yes
                    removed 'test'
                    $ dormouse context list
                      NAME  ADDRESS
                      prod  dormouses://…@db.example.com/orders
                    $ dormouse context add old h --json
                    {"name":"old","selected":false}
                    $ dormouse context remove old --yes --json
                    {"name":"old"}
                    $ dormouse server --context prdo
                    dormouse: there is no context 'prdo'; did you mean 'prod'?
                    (exit(64))
                    $ dormouse server --context x --server y
                    dormouse: give --server or --context, not both; --help says what is expected
                    (exit(64))

                    """)
        }

        @Test func theFileIsItsOwnersAlone() throws {
            let home = try Folder.make()
            defer { Folder.remove(home) }
            _ = try self.session(
                home, [["context", "add", "c", "-"]], input: "dormouse://id.secret@h\n")
            let path = "\(home)/.config/dormouse/contexts"
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            #expect(Folder.text(path).contains("* c dormouse://id.secret@h\n"))
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
            #expect(
                try self.session(home, [["context", "list"]]) == """
                    $ dormouse context list
                    dormouse: others can read '\(path)', which may hold tokens; run: chmod 600 '\(path)'
                    (exit(78))

                    """)
        }

        /// --server, --context, DORMOUSE_URL, DORMOUSE_CONTEXT, what is selected.
        @Test func theClosestAddressWins() throws {
            let home = try Folder.make()
            defer { Folder.remove(home) }
            let uri = try SharedServer.server().uri()
            let none = "dormouse://127.0.0.1:1"
            _ = try self.session(
                home, [["context", "add", "none", none], ["context", "add", "here", uri]])
            func reaches(_ arguments: [String], _ environment: [String: String]) throws -> Bool {
                try self.session(home, [["server"] + arguments], environment: environment)
                    .contains("store        available")
            }
            #expect(try !reaches([], [:]))
            #expect(try reaches([], ["DORMOUSE_CONTEXT": "here"]))
            #expect(try !reaches([], ["DORMOUSE_CONTEXT": "here", "DORMOUSE_URL": none]))
            #expect(try reaches(["--context", "here"], ["DORMOUSE_URL": none]))
            #expect(try reaches(["--server", uri], ["DORMOUSE_URL": none]))
            _ = try self.session(home, [["context", "select", "here"]])
            #expect(try reaches([], [:]))
        }

        @Test func whoeverSitsAtATerminalIsAsked() throws {
            let client = try SharedServer.connect()
            try client.publish("a", "1", "2")
            for name in ["no", "yes"] {
                let stream = try client.subscribe(name, from: .first)
                try client.acknowledge(2, on: stream)
                let terminal = try Terminal(
                    [
                        Self.program, "subscriptions", "forget", name, "--exchange",
                        client.exchange,
                    ], environment: ["DORMOUSE_URL": try SharedServer.server().uri()])
                try terminal.waitFor(
                    "this removes '\(name)' and its position 2 for good. Really? Type yes: ")
                terminal.type("\(name)\n")
                #expect(try terminal.wait() == .exit(name == "yes" ? 0 : 1))
                #expect(
                    terminal.shown.contains(
                        name == "yes"
                            ? "forgot 'yes'\n"
                            : "dormouse: nothing was done; type yes, or give --yes\n"))
            }
            #expect(try client.list().subscriptions.map(\.name) == [Array("no".utf8)])
        }
    }
}
