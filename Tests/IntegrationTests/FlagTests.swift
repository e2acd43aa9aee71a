import Foundation
import PlainClient
import Testing

extension Integration {
    @Suite(.serialized)
    struct FlagTests {
        private func run(
            _ flags: [String], environment: [String: String] = [:]
        ) throws -> Command.Outcome {
            try Command.run(
                ["\(Server.binaries)/dormoused"] + flags, environment: environment)
        }

        @Test(arguments: [
            ["--nonsense"], ["nonsense"], ["--data"], ["--tail-bytes", "many"],
            ["--tail-bytes", "-1"], ["--connections", "0"], ["--insecure=1"], ["--listen", "here"],
            ["--frame-bytes", "1"], ["--log-level", "loud"], ["--data", ""],
            ["--credit-events", "4294967296"], ["--outbound-bytes", "1"],
            ["--listen", "0.0.0.0:0"], ["--database", "nonsense=1"],
            ["--connections", "99999999999999999999"],
        ])
        func wrongFlagsEndWithAReasonAndCode64(flags: [String]) throws {
            let outcome = try self.run(flags)
            #expect(outcome.end == .exit(64))
            #expect(outcome.errors.hasPrefix("dormoused: INVALID_ARGUMENT: "))
            #expect(outcome.output.isEmpty)
        }

        /// A flag with a typing error, or quotes that were forgotten.
        @Test(arguments: [
            "--databse=postgres://shop:s3cret@db/events", "postgres://shop:s3cret@db/events",
            "password=s3cret", "shop:s3cret", "-p s3cret",
        ])
        func whatIsNoFlagIsNotRepeated(argument: String) throws {
            let outcome = try self.run([argument])
            #expect(outcome.end == .exit(64))
            #expect(outcome.errors.contains("unknown argument '\(argument.prefix(2))"))
            #expect(!outcome.errors.contains("s3cret"))
        }

        @Test func theEnvironmentIsReadAndChecked() throws {
            let outcome = try self.run([], environment: ["DORMOUSE_TAIL_BYTES": "many"])
            #expect(outcome.end == .exit(64))
            #expect(outcome.errors.contains("DORMOUSE_TAIL_BYTES is 'many'"))
        }

        @Test func helpListsEveryFlagAndVersionIsAVersion() throws {
            let help = try self.run(["--help"])
            #expect(help.end == .exit(0))
            for flag in [
                "--data", "--database", "--listen", "--unix", "--tail-bytes", "--merge-ms",
            ] {
                #expect(help.output.contains(flag))
            }
            let version = try self.run(["--version"])
            #expect(version.end == .exit(0))
            #expect(version.output.hasPrefix("dormoused "))
        }

        @Test func aPortInUseIsSaid() throws {
            let address = try SharedServer.server().address().description
            let port = address.split(separator: ":").last ?? ""
            let database = try Cluster.shared().makeDatabase()
            let outcome = try self.run([
                "--database", database.conninfo, "--listen", "127.0.0.1:\(port)",
            ])
            #expect(outcome.end != .exit(0))
            #expect(outcome.errors.contains(String(port)))
        }

        @Test func itListensOnSeveralPlacesAtOnce() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let database = try Cluster.shared().makeDatabase()
            let server = try Server(
                on: database,
                [
                    "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--unix",
                    "\(folder)/socket",
                ])
            defer { server.destroy() }
            let listening = server.child.output.split(separator: "\n").filter {
                $0.hasPrefix("listening on ")
            }
            #expect(listening.count == 3)
            for line in listening {
                let address = line.dropFirst("listening on ".count)
                _ = try TestClient(.init(String(address))).serverReply()
            }
            #expect(try server.stop() == .exit(0))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/socket"))
        }
    }
}
