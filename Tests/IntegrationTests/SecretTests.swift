import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Tokens are shown to whom they are for, and to nobody else.
    @Suite(.serialized)
    struct SecretTests {
        private static func run(
            _ arguments: [String], at server: String, input: String = ""
        ) throws -> Command.Outcome {
            try Command.run(
                ["\(Server.binaries)/dormouse"] + arguments, input: input,
                environment: ["DORMOUSE_URL": server, "HOME": "/nonexistent"])
        }

        /// Everything is done with tokens that the program can do; then all that the server says, keeps and shows
        /// is searched for their secrets.
        @Test func aSecretIsInNoLogNoTableAndNoAnswer() throws {
            try withGuarded(["--log-level", "debug"]) { guarded in
                let folder = try Folder.make()
                defer { Folder.remove(folder) }
                let unix = guarded.unix.description
                let path = "\(folder)/boss.token"
                var shown = ""
                func run(_ line: String, _ server: String, ends: Int32 = 0) throws {
                    let outcome = try Self.run(
                        line.split(separator: " ").map(String.init), at: server)
                    shown += outcome.output + outcome.errors
                    #expect(
                        outcome.end == .exit(ends), "\(line): \(outcome.errors)\(outcome.output)")
                }
                try run(
                    "principals add boss administer publish subscribe --everywhere --token-file \(path)",
                    unix)
                let boss = "\(guarded.tcp)?token_file=\(path)"
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                #expect(attributes[.posixPermissions] as? Int == 0o600)
                let first = Folder.text(path)
                // While it is known, and as a wrong one.
                for line in [
                    "principals list", "principals list --json", "publish a.b c", "fetch",
                    "subscribe reader --count 1 --from first",
                    "explain reader", "connections list", "server", "check",
                    "exchanges list", "principals grant boss subscribe --exchange main",
                ] {
                    try run(line, boss)
                }
                #expect(
                    shown.contains("boss") && shown.contains("a.b"), "it did something: \(shown)")
                let wrong = first.replacing(".", with: ".00")
                let typed = wrong.trimmingCharacters(in: .newlines)
                try run("server", "\(guarded.tcp)?token=\(typed)", ends: 77)
                #expect(shown.contains("UNAUTHENTICATED"))
                // Typed into a wrong place.
                let good = first.trimmingCharacters(in: .newlines)
                for address in [
                    "dormouse://\(good)", "\(guarded.tcp)?token=\(good)&x", "dormouse:/\(good)@h",
                    "dormouse://\(good)@[::1",
                ] {
                    let outcome = try Self.run(["--timeout", "2s", "server"], at: address)
                    #expect(outcome.end != .exit(0))
                    shown += outcome.errors
                }
                try run("principals rotate boss --token-file \(path).new", boss)
                try run("server", boss, ends: 77)
                let second = Folder.text("\(path).new")
                #expect(first.count == 82 && second.count == 82 && first != second)
                let dump = try Command.check([
                    "\(Postgres.binaries)/pg_dump", "-d", guarded.database.conninfo,
                ])
                let places = [
                    "what the program showed": shown,
                    "the server's log": guarded.server.child.errors,
                    "the server's output": guarded.server.child.output,
                    "the server's arguments": Folder.text(
                        "/proc/\(guarded.server.child.process)/cmdline"),
                    "the server's environment": Folder.text(
                        "/proc/\(guarded.server.child.process)/environ"),
                    "Postgres' tables": dump,
                    "what Postgres is asked": try guarded.database.query(
                        "SELECT string_agg(query, ';') FROM pg_stat_activity"),
                ]
                #expect(dump.contains("boss"))
                for secret in [first, second].map({ $0.split(separator: ".")[1].dropLast() }) {
                    for (place, text) in places {
                        #expect(!text.contains(secret), "a secret is in \(place)")
                    }
                }
            }
        }

        /// The server is given one, works, fails, and is asked for all that it shows.
        @Test func theDatabasesPasswordIsNowhere() throws {
            let password = "open.sesame.4711"
            let database = try Cluster.shared().makeDatabase()
            let manager = try ServiceManager()
            defer { manager.destroy() }
            let child = try manager.start(
                ["DORMOUSE_DATABASE": "\(database.conninfo) password=\(password)"],
                flags: ["--log-level", "debug", "--metrics", "127.0.0.1:0"])
            try manager.waitUntilReady()
            let server = manager.uris[0]
            var shown = ""
            for line in [
                "publish a.b c", "subscribe reader --count 1 --from first",
                "explain reader", "connections list --json", "server --json",
                "receivers list --json", "outbox list --json",
            ] {
                let outcome = try Self.run(
                    line.split(separator: " ").map(String.init), at: server)
                #expect(outcome.end == .exit(0), "\(line): \(outcome.errors)\(outcome.output)")
                shown += outcome.output + outcome.errors
            }
            // Every connection breaks, and then none can be made for a while.
            let name = try database.query("SELECT current_database()")
            let beside = try Cluster.shared().makeDatabase()
            // Committed first, or the server connects again in between.
            try beside.query("ALTER DATABASE \(name) ALLOW_CONNECTIONS false")
            try beside.query(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '\(name)'"
            )
            _ = try manager.notify.wait(for: "STATUS=", containing: "database")
            shown += try Self.run(["publish", "a.b", "c", "--timeout", "2s"], at: server).errors
            shown += try Page.get(Page.base(of: child), "/metrics").body
            shown += try Page.get(Page.base(of: child), "/readyz").body
            shown += manager.notify.messages.joined()
            shown += Folder.text("/proc/\(child.process)/cmdline")
            try eventually("the log says why", seconds: 60) {
                child.errors.contains("not currently accepting connections")
            }
            child.signal(SIGTERM)
            _ = try child.wait()
            for text in [shown, child.errors, child.output] {
                #expect(!text.contains(password))
            }
        }

        @Test func aTokenFileIsReadAnewForEachConnection() throws {
            try withGuarded { guarded in
                let folder = try Folder.make()
                defer { Folder.remove(folder) }
                let path = "\(folder)/token"
                let server = "\(guarded.tcp)?token_file=\(path)"
                #expect(try Self.run(["server"], at: server).errors.contains("token_file"))
                try Data("wrong.token\n".utf8).write(to: URL(fileURLWithPath: path))
                _ = try guarded.add("shop", PrincipalGrant(.publish, "main"))
                #expect(try Self.run(["server"], at: server).end == .exit(77))
                let token = try guarded.change(
                    .rotatePrincipal(RotatePrincipalRequest(name: Array("shop".utf8)))
                ).token
                try Data(token + Array("\n".utf8)).write(to: URL(fileURLWithPath: path))
                #expect(try Self.run(["publish", "a.b", "c"], at: server).end == .exit(0))
            }
        }

        @Test(arguments: [
            "amqp://shop:s3cret@rabbit", "amqp:/shop:s3cret@rabbit",
            "amqp://shop:s3cret/x@rabbit:y",
        ])
        func aBrokersAddressIsNotRepeated(address: String) throws {
            let outcome = try Command.run([
                "\(Server.binaries)/dormouse-rabbitmq", "--broker", address, "--queue", "q",
            ])
            #expect(outcome.end == .exit(64) && outcome.errors.contains("--password-file"))
            #expect(!outcome.errors.contains("s3cret") && !outcome.output.contains("s3cret"))
        }

        @Test(arguments: ["sasl.password", "ssl.key.password", "ssl.key.pem"])
        func secretsAreNoPropertiesOnTheCommandLine(name: String) throws {
            let outcome = try Self.kafka(["--property", "\(name)=s3cret"])
            #expect(outcome.end == .exit(64) && outcome.errors.contains("--property-file"))
            #expect(!outcome.errors.contains("s3cret"))
        }

        @Test func aFileOfPropertiesIsNotRepeated() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let path = "\(folder)/properties"
            try Data("# ours\n\nssl.key.password=s3cret\nsasl.passwords3cret\n".utf8)
                .write(to: URL(fileURLWithPath: path))
            let outcome = try Self.kafka(["--property-file", path])
            #expect(outcome.end == .exit(64) && outcome.errors.contains("NAME=VALUE"))
            #expect(!outcome.errors.contains("s3cret"))
        }

        /// What a promise depends on is what it is.
        @Test(arguments: [
            ("acks=1", ["--forward", "f"]), ("enable.idempotence=false", ["--forward", "f"]),
            ("check.crcs=false", []), ("auto.offset.reset=latest", []),
            ("enable.auto.commit=true", []),
        ])
        func promisesAreNoPropertiesToChange(property: String, more: [String]) throws {
            let outcome = try Self.kafka(["--property", property] + more)
            #expect(outcome.end == .exit(64) && outcome.errors.contains("cannot be changed"))
        }

        private static func kafka(_ flags: [String]) throws -> Command.Outcome {
            try Command.run(
                ["\(Server.binaries)/dormouse-kafka", "--brokers", "127.0.0.1:1", "--topic", "t"]
                    + flags)
        }
    }
}
