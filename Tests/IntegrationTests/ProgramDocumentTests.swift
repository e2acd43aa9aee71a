import Foundation
import PlainClient
import Testing

extension Integration {
    /// docs/cli.md shows what really comes out.
    @Suite(.serialized)
    struct ProgramDocumentTests {
        private static let path = "\(ProgramTests.package)/docs/cli.md"

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

        @Test func whatIsDocumentedIsWhatComesOut() throws {
            let text = Folder.text(Self.path)
            try withServer { server, _ in
                let folder = try Folder.make()
                defer { Folder.remove(folder) }
                var session = Session([
                    "DORMOUSE_URL": try server.uri(), "HOME": folder, "XDG_CONFIG_HOME": "",
                ])
                session.folder = folder
                let played = try self.played(text, session)
                if ProcessInfo.processInfo.environment["DORMOUSE_RECORD"] != nil {
                    try Data(played.utf8).write(to: URL(fileURLWithPath: Self.path))
                } else if played != text {
                    let changes = played.split(separator: "\n").filter { !text.contains($0) }
                    Issue.record("docs/cli.md differs: \(changes.joined(separator: "\n"))")
                }
            }
        }

        @Test func everyCommandIsDocumented() throws {
            let text = Folder.text(Self.path)
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
