import Foundation

/// A file of lines `name = value`; `#` begins a comment.
public struct Settings: Sendable {
    private var values: [String: String] = [:]

    /// No settings.
    public init() {}

    /// - Parameters:
    ///   - path: of the file.
    ///   - names: what may be set; another name is a mistake of typing.
    public init(path: String, names: Set<String>) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw UsageError("the configuration file '\(path)' cannot be read")
        }
        let lines = String(decoding: data, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let text = line.trimmingCharacters(in: .whitespaces)
            if text.isEmpty || text.hasPrefix("#") { continue }
            let parts = text.split(separator: "=", maxSplits: 1)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard parts.count == 2, names.contains(parts[0]) else {
                let all = names.sorted().joined(separator: ", ")
                throw UsageError(
                    "\(path), line \(index + 1): expected 'name = value' with one of \(all)")
            }
            self.values[parts[0]] = parts[1]
        }
    }

    /// nil: the file does not say.
    public func value(_ name: String) -> String? { self.values[name] }
}
