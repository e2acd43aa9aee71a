import Foundation

/// Where everything is: from the command line, else from a file of lines `name = value`, else as usual.
public struct Settings {
    private let arguments: Arguments
    private var values: [String: String] = [:]

    /// - Parameters:
    ///   - arguments: `--config` names another file, which must be there then.
    ///   - flags: names of all settings with their dashes, and `--config`. The file has them without.
    ///   - file: in the current folder; it need not be there.
    public init(_ arguments: Arguments, flags: Set<String>, file: String) throws(UsageError) {
        self.arguments = arguments
        let path = arguments.value("--config")
        guard let data = FileManager.default.contents(atPath: path ?? file) else {
            guard let path else { return }
            throw UsageError("the configuration file '\(path)' cannot be read")
        }
        let names = flags.subtracting(["--config"]).map { String($0.dropFirst(2)) }.sorted()
        let lines = String(decoding: data, as: UTF8.self)
            // Also the line ends of Windows, which are one character.
            .split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let text = line.trimmingCharacters(in: .whitespaces)
            if text.isEmpty || text.hasPrefix("#") { continue }
            let parts = text.split(separator: "=", maxSplits: 1)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard parts.count == 2, names.contains(parts[0]) else {
                let all = names.joined(separator: ", ")
                throw UsageError(
                    "\(path ?? file), line \(index + 1): expected 'name = value' with one of \(all)"
                )
            }
            self.values[parts[0]] = parts[1]
        }
    }

    /// nil: neither the command line nor the file says.
    public func value(_ name: String) -> String? {
        self.arguments.value("--\(name)") ?? self.values[name]
    }

    /// What is said, or what is usual.
    public func value(_ name: String, default usual: String) -> String {
        self.value(name) ?? usual
    }

    /// One of these words; nil: not said.
    public func choice<Choice: CaseIterable & RawRepresentable<String>>(
        _ name: String, _ type: Choice.Type = Choice.self
    ) throws(UsageError) -> Choice? {
        try self.value(name).map { text throws(UsageError) in
            try Arguments.choice("--\(name)", text)
        }
    }
}
