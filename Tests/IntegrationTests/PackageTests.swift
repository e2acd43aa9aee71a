import Core
import Foundation
import PlainClient
import Testing

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// The Debian packages: made, installed into a root of their own, started from there, taken away.
    @Suite(.serialized)
    struct PackageTests {
        private static let repository = URL(fileURLWithPath: UnitFile.folder)
            .deletingLastPathComponent().path

        private static let names = [
            "dormouse-client", "dormouse-connectors", "dormouse-server", "libdormouse-dev",
            "libdormouse0",
        ]

        private static func make(_ folder: String) throws -> [String] {
            try Command.check(
                [
                    "/usr/bin/env", "BIN=\(Server.binaries)",
                    "\(Self.repository)/scripts/make-deb.sh", folder,
                ], seconds: 600
            ).split(separator: "\n").map(String.init).sorted()
        }

        /// dpkg runs maintainer scripts outside of the root, which is empty, and tells them where it is.
        private static func dpkg(_ root: String, _ arguments: [String]) throws {
            try Command.check(
                [
                    "/usr/bin/dpkg", "--root=\(root)", "--force-script-chrootless",
                    "--force-depends", "--force-not-root",
                ] + arguments, seconds: 300)
        }

        private static func emptyRoot(_ folder: String) throws -> String {
            let root = "\(folder)/root"
            for path in ["var/lib/dpkg/updates", "var/lib/dpkg/info", "etc"] {
                try Command.check(["/bin/mkdir", "-p", "\(root)/\(path)"])
            }
            try Command.check(["/usr/bin/touch", "\(root)/var/lib/dpkg/status"])
            return root
        }

        /// Packages are for who installs them as root, and so is this test.
        @Test(.enabled(if: geteuid() == 0))
        func theyAreInstalledStartedAndTakenAway() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let files = try Self.make("\(folder)/deb")
            #expect(
                files.map { String($0.split(separator: "/").last?.prefix { $0 != "_" } ?? "") }
                    == Self.names)
            let root = try Self.emptyRoot(folder)
            try Self.dpkg(root, ["-i"] + files)
            try self.expectServerInstalled(root)
            try self.expectServerRuns(root)
            try self.expectLibraryIsUsable(root, folder)
            // What a human has changed survives the package's removal, until it is purged.
            let settings = "\(root)/etc/dormouse/dormoused.env"
            try Data("DORMOUSE_LOG_LEVEL=debug\n".utf8).write(to: URL(fileURLWithPath: settings))
            try self.enable(
                ["dormoused.service", "dormoused.socket", "dormouse-kafka@orders.service"], root)
            try Self.dpkg(root, ["--remove"] + Self.names)
            #expect(Folder.text(settings) == "DORMOUSE_LOG_LEVEL=debug\n")
            try Self.dpkg(root, ["--purge"] + Self.names)
            let left = try Command.check([
                "/usr/bin/find", root, "!", "-type", "d", "!", "-path", "*/var/lib/dpkg/*", "!",
                "-path", "\(root)/etc/*",
            ])
            #expect(left == "")
            #expect(!FileManager.default.fileExists(atPath: "\(root)/etc/dormouse"))
            let links = try Command.check([
                "/usr/bin/find", "\(root)/etc/systemd/system", "-type", "l",
            ])
            #expect(links == "")
        }

        /// As systemctl does.
        private func enable(_ units: [String], _ root: String) throws {
            let folder = "\(root)/etc/systemd/system/multi-user.target.wants"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
            for unit in units {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(folder)/\(unit)",
                    withDestinationPath: "/lib/systemd/system/\(unit)")
            }
        }

        private func expectServerInstalled(_ root: String) throws {
            let depends = try Command.check([
                "/usr/bin/dpkg-query", "--admindir=\(root)/var/lib/dpkg", "-f", "${Depends}", "-W",
                "dormouse-server",
            ])
            for library in [
                "libc6", "libmicrohttpd12", "libpq5", "libuv1", "libssl3", "libprotobuf-c1",
            ] {
                #expect(depends.contains(library), "\(depends)")
            }
            let users = Folder.text("\(root)/etc/passwd")
            #expect(users.contains("dormouse:x:"))
            for path in ["etc/dormouse/credentials", "run/dormouse"] {
                #expect(FileManager.default.fileExists(atPath: "\(root)/\(path)"), "\(path)")
            }
            for unit in [
                "dormouse-kafka@.service", "dormouse-rabbitmq@.service", "dormoused.service",
                "dormoused.socket",
            ] {
                let text = Folder.text("\(root)/lib/systemd/system/\(unit)")
                #expect(!text.isEmpty && text == Folder.text("\(UnitFile.folder)/\(unit)"))
            }
            let conffiles = try Command.check([
                "/usr/bin/dpkg-query", "--admindir=\(root)/var/lib/dpkg", "-f", "${Conffiles}",
                "-W",
                "dormouse-server",
            ])
            #expect(conffiles.contains("/etc/dormouse/dormoused.env"))
        }

        private func expectServerRuns(_ root: String) throws {
            let database = try Cluster.shared().makeDatabase()
            let manager = try ServiceManager(units: "\(root)/lib/systemd/system")
            defer { manager.destroy() }
            let child = try manager.start(["DORMOUSE_DATABASE": database.conninfo], root: root)
            try manager.waitUntilReady()
            let program = "\(root)/usr/bin/dormouse"
            try Command.check([program, "--server", manager.uris[0], "publish", "hello", "world"])
            let fetched = try Command.check([program, "--server", manager.uris[1], "fetch"])
            #expect(fetched.contains("world"), "\(fetched)")
            child.signal(SIGTERM)
            #expect(try child.wait() == .exit(0))
        }

        private func expectLibraryIsUsable(_ root: String, _ folder: String) throws {
            let triplet = try Command.check(["/usr/bin/dpkg-architecture", "-qDEB_HOST_MULTIARCH"])
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let library = "\(root)/usr/lib/\(triplet)"
            let source = "\(folder)/version.c"
            try Data(
                """
                #include <dormouse.h>
                #include <stdio.h>
                int main(void) { return puts(dormouse_version()) < 0; }

                """.utf8
            ).write(to: URL(fileURLWithPath: source))
            let found = try Command.check([
                "/usr/bin/env", "PKG_CONFIG_SYSROOT_DIR=\(root)",
                "PKG_CONFIG_LIBDIR=\(library)/pkgconfig:/usr/lib/\(triplet)/pkgconfig",
                "pkg-config", "--cflags", "--libs",
                "--define-variable=prefix=/usr", "dormouse",
            ]).split(whereSeparator: \.isWhitespace).map(String.init)
            try Command.check(["/usr/bin/cc", "-o", "\(folder)/version", source] + found)
            let shown = try Command.check([
                "/usr/bin/env", "LD_LIBRARY_PATH=\(library)", "\(folder)/version",
            ])
            #expect(shown.hasPrefix("0."))
        }

        /// The roles' file runs twice, before and after the server's first start.
        @Test func theRolesAreWhatTheServerNeeds() throws {
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let postgres = cluster.conninfo("postgres")
            // The test's superuser has the name that the server's role will have.
            try Database(conninfo: postgres).query("CREATE ROLE admin SUPERUSER LOGIN")
            let admin = Database(
                conninfo: postgres.replacingOccurrences(of: "user=dormouse", with: "user=admin"))
            try admin.query("ALTER ROLE dormouse RENAME TO first")
            let apply = {
                try Command.check([
                    "\(Postgres.binaries)/psql", "-Xq", "-d", admin.conninfo, "-f",
                    "\(UnitFile.folder)/postgres-roles.sql",
                ])
            }
            _ = try apply()
            let database = Database(conninfo: cluster.conninfo("dormouse"))
            let server = try Server(on: database)
            defer { server.destroy() }
            try TestClient(server.address()).publish("a", "1")
            _ = try apply()
            try admin.query("CREATE ROLE reader LOGIN IN ROLE dormouse_reader")
            let reader = Database(
                conninfo: database.conninfo.replacingOccurrences(
                    of: "user=dormouse", with: "user=reader"))
            #expect(try reader.number("SELECT count(*) FROM dormouse.events") == 1)
            #expect(throws: Problem.self) { try reader.query("SELECT * FROM dormouse.chunk") }
            #expect(throws: Problem.self) { try reader.query("SELECT * FROM dormouse.credential") }
            #expect(try server.stop() == .exit(0))
        }
    }
}
