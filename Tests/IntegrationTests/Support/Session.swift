import Foundation
import PlainClient

/// What one sees when one types commands: each command with its output, errors, and its exit code when
/// it is not 0. Times, addresses and process numbers are made the same in every run.
struct Session {
    let environment: [String: String]
    /// `$FOLDER` in command lines.
    var folder = ""
    /// Places as a document has them, and where they are in this run.
    var places: [(shown: String, real: String)] = []
    /// Variables that lines before have set.
    private var variables = ""
    private(set) var text = ""

    init(_ client: TestClient) {
        self.environment = ["DORMOUSE_URL": "\(client.client.address)/\(client.exchange)"]
    }

    init(_ environment: [String: String]) {
        self.environment = environment
    }

    /// Runs a command line, as a shell would.
    mutating func run(_ line: String, input: String = "") throws {
        if line.contains(/^(export )?[A-Z_]+=\S+$/) {
            self.variables += line + "; "
            self.text += "$ \(line)\n"
            return
        }
        let real = self.places.reduce(self.variables + line) {
            $0.replacing($1.shown, with: $1.real)
        }
        let outcome = try Command.run(
            [
                "/bin/bash", "-c",
                "set -o pipefail; cd \"${FOLDER:-.}\"; PATH='\(Server.binaries)':$PATH; \(real)",
            ],
            input: input, environment: self.environment.merging(["FOLDER": self.folder]) { $1 })
        self.text += "$ \(line)\n" + self.steady(outcome.output + outcome.errors)
        switch outcome.end {
        case .exit(0): break
        case .exit(let code): self.text += "[exit code \(code)]\n"
        case .signal(let signal): self.text += "[signal \(signal)]\n"
        }
    }

    /// The text, without what differs from run to run.
    private func steady(_ text: String) -> String {
        var text = self.places.reduce(text) { $0.replacing($1.real, with: $1.shown) }
        if !self.folder.isEmpty { text = text.replacing(self.folder, with: "$FOLDER") }
        return text.replacing(/20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/) { match in
            match.output.1 == nil ? "2026-03-01T12:00:00Z" : "2026-03-01T12:00:00.000Z"
        }
        .replacing(/127\.0\.0\.1:\d{5}/, with: "127.0.0.1:40000")
        .replacing(/oldest \d+s/, with: "oldest 0s").replacing(/age=\d+s/, with: "age=0s")
        .replacing(/\b[0-9a-f]{32}\b/, with: "0123456789abcdef0123456789abcdef")
        .replacing(/"(sent|received)_bytes":\d+/) { "\"\($0.output.1)_bytes\":100" }
        .replacing(/"age_ms":\d+/, with: "\"age_ms\":0")
        .replacing(/[0-9a-f]{16}\.[0-9a-f]{64}/, with: "4f0c1d2e3b5a6978.9a61b7…")
        .replacing(/"id":"[0-9a-f]{16}"/, with: "\"id\":\"4f0c1d2e3b5a6978\"")
    }
}

extension Session {
    private static let folder = "\(Integration.ProgramTests.package)/Tests/Sessions"

    /// Whether the text is the one that was recorded, as a whole; with DORMOUSE_RECORD it is recorded
    /// now, for somebody to read before it is committed.
    func isRecorded(as name: String) throws -> Bool {
        try Self.isRecorded(self.text, as: name)
    }

    static func isRecorded(_ text: String, as name: String) throws -> Bool {
        let path = "\(Self.folder)/\(name).txt"
        if ProcessInfo.processInfo.environment["DORMOUSE_RECORD"] != nil {
            try FileManager.default.createDirectory(
                atPath: Self.folder, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        }
        let recorded = Folder.text(path)
        guard recorded != text else { return true }
        print("--- the session is now, unlike \(path):\n\(text)---")
        return false
    }
}
