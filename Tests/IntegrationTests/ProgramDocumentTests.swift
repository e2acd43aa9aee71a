import Foundation
import PlainClient
import TestCertificates
import Testing

extension Integration {
    /// docs/cli.md and docs/principals.md show what really comes out.
    @Suite(.serialized)
    struct ProgramDocumentTests {
        private static func path(_ name: String) -> String {
            "\(ProgramTests.package)/docs/\(name).md"
        }

        /// The document, with each command's output of now.
        private func played(_ text: String, _ session: Session) throws -> String {
            var session = session
            var played: [String] = []
            var isConsole = false
            for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
                if isConsole, line.hasPrefix("$ ") {
                    let before = session.text.count
                    try session.run(String(line.dropFirst(2)))
                    played.append(String(session.text.dropFirst(before).dropLast()))
                } else if !isConsole || line == "```" {
                    played.append(String(line))
                }
                if line.hasPrefix("```") { isConsole = line == "```console" }
            }
            return played.joined(separator: "\n")
        }

        /// With DORMOUSE_RECORD, what comes out is documented now.
        private func expect(_ name: String, _ session: Session) throws {
            let path = Self.path(name)
            let text = Folder.text(path)
            let played = try self.played(text, session)
            if ProcessInfo.processInfo.environment["DORMOUSE_RECORD"] != nil {
                try Data(played.utf8).write(to: URL(fileURLWithPath: path))
            } else if played != text {
                let changes = played.split(separator: "\n").filter { !text.contains($0) }
                Issue.record("\(path) differs: \(changes.joined(separator: "\n"))")
            }
        }

        @Test func whatIsDocumentedIsWhatComesOut() throws {
            try withServer { server, _ in
                let folder = try Folder.make()
                defer { Folder.remove(folder) }
                var session = Session([
                    "DORMOUSE_URL": try server.uri(), "HOME": folder, "XDG_CONFIG_HOME": "",
                ])
                session.folder = folder
                try self.expect("cli", session)
            }
        }

        /// With certificates, from the first principal to one that was revoked.
        @Test func theWayToPrincipalsIsAsDocumented() throws {
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let server = try TLSServer(
                clients: true, ["--tls-client-optional", "--unix", "\(folder)/s"])
            defer { server.destroy() }
            try eventually("it listens on all places") {
                server.server.child.output.contains("listening on unix:")
            }
            let billing = try server.authority.issue(
                "billing", names: ["URI:spiffe://example/billing"], usage: .client)
            for (file, name) in [
                (server.authority.path, "ca.pem"), (billing.path, "billing.pem"),
                (billing.keyPath, "billing.key"),
            ] {
                try FileManager.default.copyItem(atPath: file, toPath: "\(folder)/\(name)")
            }
            var session = Session(["HOME": folder, "XDG_CONFIG_HOME": ""])
            session.folder = folder
            session.places = [
                ("events.example:3674", "localhost:\(try server.port())"),
                ("unix:/run/dormouse/dormouse.sock", "unix:\(folder)/s"),
            ]
            try self.expect("principals", session)
        }

        @Test func everyCommandIsDocumented() throws {
            let text = Folder.text(Self.path("cli"))
            let help = try Command.check(["\(Server.binaries)/dormouse", "--help"])
            let list = help.split(separator: "\n\nOptions")[0].split(separator: "\n")
            var commands = 0
            for line in list where line.hasPrefix("  ") {
                let name = line.dropFirst(2).prefix(while: { $0 != " " })
                let words = line.dropFirst(2).split(separator: "  ")[0]
                #expect(
                    text.contains("\n$ dormouse \(words)") || text.contains("| dormouse \(words)"),
                    "docs/cli.md shows no '\(words)'")
                commands += name.isEmpty ? 0 : 1
            }
            #expect(commands > 20)
        }
    }
}
