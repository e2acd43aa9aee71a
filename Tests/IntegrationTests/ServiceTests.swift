import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// dormoused under a service manager: what it is told, what it gets, and that it can tell a hang.
    @Suite(.serialized)
    struct ServiceTests {
        private func withService(
            _ body: (ServiceManager, [String: String]) throws -> Void
        ) throws {
            let database = try Cluster.shared().makeDatabase()
            let manager = try ServiceManager()
            defer { manager.destroy() }
            try body(manager, ["DORMOUSE_DATABASE": database.conninfo])
        }

        @Test func aLifeIsToldInOrder() throws {
            try self.withService { manager, environment in
                let child = try manager.start(environment)
                try manager.waitUntilReady()
                let client = try TestClient(Address(manager.uris[0]))
                try client.publish("a", "1", "2")
                try client.subscribe("name", from: .first)
                let status = try manager.notify.wait(
                    for: "STATUS=serving 1 of 1", containing: "lag 2")
                #expect(status.contains("head 2"))
                manager.child?.signal(SIGHUP)
                let reloading = try manager.notify.wait(for: "RELOADING=1\nMONOTONIC_USEC=")
                let time = reloading.split(separator: "=").last.flatMap { Double($0) } ?? 0
                #expect(abs(time / 1_000_000 - uptime) < 60, "\(time) at \(uptime)")
                #expect(try manager.notify.wait(for: "READY=1").contains("STATUS=serving 1 of 1"))
                child.signal(SIGTERM)
                _ = try manager.notify.wait(for: "STOPPING=1")
                #expect(try child.wait() == .exit(0))
                // Nobody takes it for ready after that.
                #expect(!manager.notify.read().contains { $0.hasPrefix("READY=1") })
            }
        }

        @Test func bothPassedSocketsServeAndAreNotInherited() throws {
            try self.withService { manager, environment in
                let child = try manager.start(environment)
                try manager.waitUntilReady()
                for uri in manager.uris {
                    let client = try TestClient(Address(uri))
                    try client.publish("a", "1")
                    client.close()
                }
                for descriptor in 3..<3 + manager.sockets.count {
                    let info = Folder.text("/proc/\(child.process)/fdinfo/\(descriptor)")
                    let flags = info.split(separator: "\n").first { $0.hasPrefix("flags:") }
                        .flatMap { Int($0.dropFirst(6).trimming(), radix: 8) }
                    #expect((flags ?? 0) & Int(O_CLOEXEC) != 0, "\(info)")
                }
                // The usual address is for when nothing was passed.
                #expect(!child.output.contains(":3673"))
                child.signal(SIGTERM)
                #expect(try child.wait() == .exit(0))
                // The socket's file is the manager's.
                #expect(Sockets.knock(manager.uris[1]) == 0)
            }
        }

        @Test func whatWasPassedToAnotherProcessIsLeftAlone() throws {
            try self.withService { manager, environment in
                let child = try manager.start(
                    environment.merging([
                        "LISTEN_PID": "1", "WATCHDOG_PID": "1", "WATCHDOG_USEC": "100000",
                    ]) { $1 }, flags: ["--listen", "127.0.0.1:0"])
                try manager.waitUntilReady()
                #expect(child.output.components(separatedBy: "listening on").count == 2)
                for uri in manager.uris { #expect(!child.output.contains(uri)) }
                // Two beats: the watchdog would have been fed many times.
                _ = try TestClient(Self.address(of: child)).publish("a", "1")
                _ = try manager.notify.wait(for: "STATUS=serving", containing: "head 1")
                #expect(!manager.notify.messages.contains("WATCHDOG=1"))
            }
        }

        private static func address(of child: Child) throws -> Address {
            let line = child.output.split(separator: "\n").first { $0.contains("listening on ") }
            return try Address("dormouse://\(line?.split(separator: " ").last ?? "")")
        }

        @Test func aPassedSocketThatAnybodyReachesIsRefused() throws {
            try self.withService { manager, environment in
                let open = try Sockets.listen(tcp: "0.0.0.0")
                defer { close(open.descriptor) }
                let child = try manager.start(environment, sockets: [open.descriptor])
                #expect(try child.wait() == .exit(64))
                #expect(child.errors.contains("reachable from elsewhere"))
                let pipe = try manager.start(environment, sockets: [open.descriptor, 2])
                #expect(try pipe.wait() == .exit(78))
                #expect(pipe.errors.contains("not a stream socket that listens"))
                let many = try manager.start(
                    environment.merging(["LISTEN_FDS": "1000000"]) { $1 })
                #expect(try many.wait() == .exit(64))
            }
        }

        @Test func whileTheDatabaseIsAwayItSaysSoAndAsksForTime() throws {
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let database = try cluster.makeDatabase()
            try cluster.stop("fast")
            let manager = try ServiceManager()
            defer { manager.destroy() }
            let child = try manager.start(["DORMOUSE_DATABASE": database.conninfo])
            _ = try manager.notify.wait(for: "STATUS=waiting: the database is not there")
            for _ in 1...2 {
                manager.notify.forget()
                _ = try manager.notify.wait(for: "EXTEND_TIMEOUT_USEC=")
            }
            #expect(!manager.notify.messages.contains { $0.contains("READY=1") })
            try cluster.start()
            try manager.waitUntilReady()
            child.signal(SIGTERM)
            #expect(try child.wait() == .exit(0))
        }

        @Test func wrongConfigurationEndsWithCodesThatStopRestarts() throws {
            try self.withService { manager, environment in
                let codes = manager.service["RestartPreventExitStatus"].first?.split(separator: " ")
                #expect(codes == ["64", "78"])
                let usage = try manager.start(environment, flags: ["--no-such-flag"])
                #expect(try usage.wait() == .exit(64))
                let database = try manager.start(["DORMOUSE_DATABASE": "neither a URI nor keywords"]
                )
                #expect(try database.wait() == .exit(64))
                let folder = try manager.start(
                    environment, flags: ["--unix", "/no/such/folder/socket"])
                #expect(try folder.wait() == .exit(64))
                #expect(!manager.notify.read().contains { $0.hasPrefix("READY=1") })
            }
        }

        /// Its log goes to a pipe that nobody reads. When that is full, the loop stands still, and only the loop: the
        /// process and its other threads live.
        @Test func aLoopThatStandsStillDoesNotFeedTheWatchdog() throws {
            try self.withService { manager, environment in
                let log = Pipe()
                // F_SETPIPE_SZ, which Swift's Glibc does not show. Source: fcntl(2).
                _ = fcntl(log.fileHandleForWriting.fileDescriptor, 1031, 4096)
                let child = try manager.start(
                    environment.merging(["WATCHDOG_USEC": "400000"]) { $1 },
                    flags: ["--log-level", "debug"],
                    errors: log.fileHandleForWriting.fileDescriptor)
                try manager.waitUntilReady()
                for _ in 1...5 {
                    manager.notify.forget()
                    _ = try manager.notify.wait(for: "WATCHDOG=1")
                }
                // Every connection that ends is a line of the log.
                try eventually("the watchdog is not fed for ten times its time") {
                    for _ in 1...100 { _ = Sockets.knock(manager.uris[1]) }
                    manager.notify.forget()
                    let until = uptime + 4
                    while uptime < until, manager.notify.read().isEmpty { usleep(3_000) }
                    return manager.notify.messages.isEmpty
                }
                #expect(child.isRunning)
                let reader = Worker("reader") {
                    while !log.fileHandleForReading.availableData.isEmpty {}
                }
                _ = try manager.notify.wait(for: "WATCHDOG=1")
                child.signal(SIGTERM)
                #expect(try child.wait() == .exit(0))
                try log.fileHandleForWriting.close()
                try reader.join()
            }
        }
    }
}

extension Substring {
    fileprivate func trimming() -> String { self.trimmingCharacters(in: .whitespaces) }
}
