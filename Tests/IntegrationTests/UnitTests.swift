import Core
import Foundation
import PlainClient
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// The units in `deploy/`: systemd understands every line, finds them hardened, and the server runs under them.
    @Suite(.serialized)
    struct UnitTests {
        /// What `systemd-analyze security` may find, in tenths.
        private static let exposureMax = 15

        /// A root with our units, and the programs and targets that they name.
        private func withRoot(_ body: (String) throws -> Void) throws {
            let root = try Folder.make()
            defer { Folder.remove(root) }
            let units = "\(root)/usr/lib/systemd/system"
            for folder in [units, "\(root)/usr/bin", "\(root)/bin"] {
                try Command.check(["/bin/mkdir", "-p", folder])
            }
            for program in ["usr/bin/dormoused", "bin/kill"] {
                try Command.check(["/bin/cp", "/bin/true", "\(root)/\(program)"])
            }
            let targets = [
                "multi-user", "sockets", "network-online", "sysinit", "basic", "shutdown",
            ]
            .map { "/usr/lib/systemd/system/\($0).target" }
            let own = ["service", "socket"].map { "\(UnitFile.folder)/dormoused.\($0)" }
            try Command.check(["/bin/cp"] + own + targets + [units])
            try body(root)
        }

        /// The connectors' templates.
        @Test(arguments: ["kafka", "rabbitmq"])
        func systemdUnderstandsTheConnectorsUnits(broker: String) throws {
            try self.withRoot { root in
                let name = "dormouse-\(broker)@"
                try Command.check(["/bin/cp", "/bin/true", "\(root)/usr/bin/dormouse-\(broker)"])
                try Command.check([
                    "/bin/cp", "\(UnitFile.folder)/\(name).service",
                    "\(root)/usr/lib/systemd/system",
                ])
                let verified = try Command.run([
                    "/usr/bin/systemd-analyze", "--root=\(root)", "verify", "--man=no",
                    "\(name)orders.service",
                ])
                #expect(
                    verified.end == .exit(0) && verified.output + verified.errors == "",
                    "\(verified.output)\(verified.errors)")
                let security = try Command.run([
                    "/usr/bin/systemd-analyze", "--root=\(root)", "security", "--offline=true",
                    "--threshold=\(Self.exposureMax)", "\(name)orders.service",
                ])
                let verdict = security.output.split(separator: "\n").last ?? ""
                #expect(
                    security.end == .exit(0) && verdict.contains("exposure level"),
                    "\(verdict)\(security.errors)")
            }
        }

        private func dropIns() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: "\(UnitFile.folder)/dropins")
                .sorted()
        }

        @Test func systemdUnderstandsEveryLineAndFindsThemHardened() throws {
            let dropIns = try self.dropIns()
            #expect(dropIns.count >= 6)
            for dropIn in [nil] + dropIns.map(Optional.some) {
                try self.withRoot { root in
                    let isSocket = dropIn?.hasSuffix(".socket") ?? false
                    if let dropIn {
                        let folder =
                            "\(root)/etc/systemd/system" + (isSocket ? "" : "/dormoused.service.d")
                        try Command.check(["/bin/mkdir", "-p", folder])
                        try Command.check(
                            ["/bin/cp", "\(UnitFile.folder)/dropins/\(dropIn)", folder])
                    }
                    // It returns 0 whatever it complains of.
                    let verified = try Command.run(
                        [
                            "/usr/bin/systemd-analyze", "--root=\(root)", "verify", "--man=no",
                            "dormoused.service", "dormoused.socket",
                        ] + (isSocket ? [dropIn ?? ""] : []))
                    #expect(
                        verified.end == .exit(0) && verified.output + verified.errors == "",
                        "\(dropIn ?? "-"): \(verified.output)\(verified.errors)")
                    let security = try Command.run([
                        "/usr/bin/systemd-analyze", "--root=\(root)", "security", "--offline=true",
                        "--threshold=\(Self.exposureMax)", "dormoused.service",
                    ])
                    let verdict = security.output.split(separator: "\n").last ?? ""
                    #expect(
                        security.end == .exit(0) && verdict.contains("exposure level"),
                        "\(dropIn ?? "-"): \(verdict)\(security.errors)")
                }
            }
        }

        /// What other machines reach is served with TLS, in a unit of its own: the name holds for all sockets of a unit.
        @Test func whatOtherMachinesReachIsNamedForTLS() throws {
            for path in ["dormoused.socket"] + (try self.dropIns()).map({ "dropins/\($0)" }) {
                let unit = try UnitFile("\(UnitFile.folder)/\(path)")
                let isOpen = unit["ListenStream"].contains {
                    !$0.hasPrefix("/") && !$0.hasPrefix("127.0.0.1:")
                }
                #expect(!isOpen || unit["FileDescriptorName"] == ["tls"], "\(path)")
                #expect(!isOpen || unit["Service"] == ["dormoused.service"], "\(path)")
            }
        }

        /// What an own Postgres and the readers' threads ask for beyond the filters is refused, and harmless.
        @Test func theServerAndAPrivatePostgresRunUnderTheUnitsFilters() throws {
            let manager = try ServiceManager()
            defer { manager.destroy() }
            let confine = try self.confinement(manager)
            // Where the programs were built may be closed to other users.
            let (root, data) = ("\(manager.folder)/root", "\(manager.folder)/state")
            try Command.check(["/bin/mkdir", "-p", "\(root)/usr/bin", data])
            try Command.check(["/bin/cp", "\(Server.binaries)/dormoused", "\(root)/usr/bin"])
            var wrapper = confine
            if let user = Postgres.user {
                try Command.check(["/bin/chown", user, data])
                wrapper =
                    [
                        "/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups",
                        "--no-new-privs", "--",
                    ] + wrapper
            }
            let child = try manager.start(["STATE_DIRECTORY": data], root: root, wrapper: wrapper)
            defer { Postgres.destroy("\(data)/postgres") }
            try manager.waitUntilReady()
            let status = Folder.text("/proc/\(child.process)/status")
            #expect(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"))
            for uri in manager.uris where !uri.hasPrefix("unix:") || Postgres.user == nil {
                let client = try TestClient(Address(uri))
                for _ in 1...50 { try client.publish("a", "1", "2") }
                client.close()
            }
            child.signal(SIGTERM)
            #expect(try child.wait() == .exit(0), "\(child.errors.suffix(1000))")
            // Everything comes from the log now, through the readers' threads.
            try manager.start(["STATE_DIRECTORY": data], root: root, wrapper: wrapper)
            try manager.waitUntilReady()
            let client = try TestClient(Address(manager.uris[0]))
            #expect(try client.events(100, on: client.subscribe("name", from: .first)).count == 100)
            manager.child?.signal(SIGTERM)
            #expect(try manager.child?.wait() == .exit(0))
            // The filters do forbid: this is what they are for.
            let forbidden = try Command.run(confine + ["/usr/bin/unshare", "-U", "true"])
            #expect(forbidden.end != .exit(0) && forbidden.errors.contains("not permitted"))
        }

        /// The command that runs another one under the unit's limits and filters.
        private func confinement(_ manager: ServiceManager) throws -> [String] {
            let unit = manager.service
            for key in [
                "MemoryDenyWriteExecute", "RestrictRealtime", "RestrictNamespaces",
                "LockPersonality",
            ] {
                #expect(unit[key] == ["yes"])
            }
            #expect(unit["RestrictAddressFamilies"] == ["AF_INET AF_INET6 AF_UNIX"])
            #expect(unit["SystemCallErrorNumber"] == ["EPERM"])
            let lists = unit["SystemCallFilter"]
            let denied = lists.filter { $0.hasPrefix("~") }.flatMap {
                $0.dropFirst().split(separator: " ").map(String.init)
            }
            let allowed = lists.filter { !$0.hasPrefix("~") }.flatMap {
                $0.split(separator: " ").map(String.init)
            }
            var calls = Set<String>()
            // Allowing anything allows the start of a program as well. Source: systemd.exec(5).
            for set in allowed + ["@default"] { calls.formUnion(try self.members(of: set)) }
            for set in denied { calls.subtract(try self.members(of: set)) }
            #expect(calls.count > 200 && !calls.contains("sched_setscheduler"))
            let list = "\(manager.folder)/calls"
            try Data((calls.sorted().joined(separator: "\n") + "\n").utf8)
                .write(to: URL(fileURLWithPath: list))
            let program = "\(manager.folder)/confine"
            let source = URL(fileURLWithPath: UnitFile.folder).deletingLastPathComponent()
                .appendingPathComponent("Tests/Deploy/confine.c").path
            try Command.check([
                "/usr/bin/cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-D_DEFAULT_SOURCE", "-o",
                program, source, "-lseccomp",
            ])
            return [
                "/usr/bin/prlimit", "--memlock=0", "--core=0", "--", program, list,
            ]
        }

        private func members(of set: String) throws -> Set<String> {
            guard set.hasPrefix("@") else { return [set] }
            let output = try Command.check(["/usr/bin/systemd-analyze", "syscall-filter", set])
            var calls: Set<String> = []
            for line in output.split(separator: "\n").dropFirst() {
                let word = line.trimmingCharacters(in: .whitespaces)
                if word.hasPrefix("@") {
                    calls.formUnion(try self.members(of: word))
                } else if !word.isEmpty, !word.hasPrefix("#") {
                    calls.insert(word)
                }
            }
            return calls
        }
    }
}
