import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// The command line program when connections, readers and users go away.
    @Suite(.serialized)
    struct ProgramConnectionTests {
        private static let program = "\(Server.binaries)/dormouse"

        @Test func theSecondOfSeveralHostsIsTaken() throws {
            let client = try SharedServer.connect()
            let uri = try SharedServer.server().uri()
            let hosts = uri.replacing("dormouse://", with: "dormouse://127.0.0.1:1,")
            let outcome = try Command.run(
                [
                    Self.program, "publish", "a.b", "x", "--url",
                    "\(hosts)/\(client.exchange)?client=billing",
                ])
            #expect(outcome.end == .exit(0), "\(outcome.errors)")
            #expect(outcome.output == "published 1 event at position 1\n")
        }

        @Test func anAddressThatIsNoneIsExplained() throws {
            for (address, shown, text) in [
                ("http://x", "http://x", "does not begin with dormouse://"),
                // It may be a token of a name that was mistyped.
                ("dormouse://h?colour=red", "dormouse://h?colour=…", "there is no option 'colour'"),
                ("dormouse://h:0", "dormouse://h:0", "a number from 1 to 65535"),
            ] {
                let outcome = try Command.run([Self.program, "server", "--url", address])
                #expect(outcome.end == .exit(64))
                #expect(outcome.errors.contains(text), "\(outcome.errors)")
                #expect(outcome.errors.contains("the address '\(shown)' is not one"))
            }
        }

        @Test func aSubscriberGoesOnAfterTheServerWasKilled() throws {
            let database = try Cluster.shared().makeDatabase()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let socket = "\(folder)/dormouse.sock"
            var server = try Server(on: database, ["--unix", socket])
            defer { server.destroy() }
            let child = try Child(
                [
                    Self.program, "subscribe", "name", "--from", "first", "--url",
                    "unix:\(socket)?reconnect_max_ms=100",
                ], in: folder, label: "subscribe")
            defer { child.destroy() }
            let once = try Child(
                [
                    Self.program, "subscribe", "once", "--from", "first", "--url",
                    "unix:\(socket)?reconnect=no",
                ], in: folder, label: "once")
            defer { once.destroy() }
            for number in 1...3 {
                if number > 1 {
                    try server.killAtOnce()
                    server.destroy()
                    server = try Server(on: database, ["--unix", socket])
                }
                let client = try TestClient(try server.address())
                try client.publish("a", "\(number)")
                try eventually("event \(number) is printed") {
                    child.output.split(separator: "\n").count == number
                        && once.output.split(separator: "\n").count == 1
                }
            }
            #expect(try once.wait() == .exit(69))
            #expect(once.output.split(separator: "\n").count == 1)
            #expect(child.errors.split(separator: "\n").count == 2, "\(child.errors)")
            #expect(child.errors.contains("; connecting again [UNAVAILABLE]\n"))
            child.signal(SIGTERM)
            #expect(try child.wait() == .exit(143))
            #expect(
                child.output.split(separator: "\n").map { $0.split(separator: " ")[0] } == [
                    "1", "2", "3",
                ])
            let client = try TestClient(try server.address())
            #expect(try client.subscription("name").position == 3)
        }

        @Test func aProducerPublishesOnAfterTheServerWasKilled() throws {
            let database = try Cluster.shared().makeDatabase()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let socket = "\(folder)/dormouse.sock"
            var server = try Server(on: database, ["--unix", socket])
            defer { server.destroy() }
            let script = """
                (seq 1 1000; while [ ! -e '\(folder)/killed' ]; do sleep 0.01; done; seq 1001 2000) \
                | '\(Self.program)' publish k --lines --producer p --json \
                    --url 'unix:\(socket)?reconnect_max_ms=100'
                """
            let child = try Child(
                ["/bin/bash", "-c", script], in: folder, label: "publish")
            defer { child.destroy() }
            try eventually("the first are stored") {
                try TestClient(try server.address()).producer("p").sequence == 1000
            }
            try server.killAtOnce()
            server.destroy()
            #expect(FileManager.default.createFile(atPath: "\(folder)/killed", contents: nil))
            server = try Server(on: database, ["--unix", socket])
            #expect(try child.wait() == .exit(0), "\(child.errors)")
            #expect(
                child.output
                    == "{\"published\":2000,\"duplicates\":0,\"first_position\":1,"
                    + "\"last_position\":2000,\"next_sequence\":2001}\n")
            #expect(
                try database.number(
                    "SELECT count(DISTINCT payload) FROM dormouse.events") == 2000)
        }

        @Test func aReaderThatGoesAwayIsNoError() throws {
            let client = try SharedServer.connect()
            try client.publish((1...2000).map { Event("a", "\($0)") })
            let script = """
                '\(Self.program)' subscribe name --from first --exchange \(client.exchange) | head -n 3
                echo "${PIPESTATUS[0]}"
                """
            let outcome = try Command.run(
                ["/bin/bash", "-c", script],
                environment: ["DORMOUSE_URL": try SharedServer.server().uri()])
            let lines = outcome.output.split(separator: "\n")
            #expect(lines.count == 4 && lines.last == "0")
            #expect(outcome.errors.isEmpty)
        }

        @Test func ctrlCWhileTheReaderIsSlowConfirmsWhatIsInThePipe() throws {
            let client = try SharedServer.connect()
            try client.publish((1...5000).map { Event("a", "\($0) of five thousand events") })
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let pipe = "\(folder)/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            let reader = open(pipe, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            let child = try Child(
                [
                    "/bin/bash", "-c",
                    "exec '\(Self.program)' subscribe name --from first "
                        + "--exchange \(client.exchange) > '\(pipe)'",
                ], in: folder, label: "subscribe",
                environment: ["DORMOUSE_URL": try SharedServer.server().uri()])
            defer { child.destroy() }
            // A pipe holds 64 KiB, and is written in pieces of 4 KiB.
            try eventually("the pipe is full") {
                var count: Int32 = 0
                return ioctl(reader, UInt(FIONREAD), &count) == 0 && count > 60_000
            }
            child.signal(SIGINT)
            #expect(try child.wait() == .exit(130))
            let text = FileHandle(fileDescriptor: reader).readDataToEndOfFile()
            let printed = text.filter { $0 == 0x0A }.count
            let entry = try client.subscription("name")
            #expect(entry.state == .sleeping)
            // A line that is there only in part is not printed, and comes again.
            #expect(entry.position == UInt64(printed))
        }
    }
}
