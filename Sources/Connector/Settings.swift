package import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A flag of a connector: how it is written and explained.
package struct Flag: Sendable {
    package let name: String
    /// nil: it takes none.
    package let value: String?
    package let help: String
    package let isRepeated: Bool

    package init(_ name: String, _ value: String?, _ help: String, isRepeated: Bool = false) {
        self.name = name
        self.value = value
        self.help = help
        self.isRepeated = isRepeated
    }

    /// `--server` is `DORMOUSE_SERVER`.
    var variable: String { "DORMOUSE_" + self.name.uppercased().replacing("-", with: "_") }
}

/// What a connector is: for `--help`, and for what is said of it.
package struct Program: Sendable {
    package let name: String
    package let summary: String
    package let usage: [String]
    package let flags: [Flag]
    package let notes: String

    package init(name: String, summary: String, usage: [String], flags: [Flag], notes: String) {
        self.name = name
        self.summary = summary
        self.usage = usage
        self.flags = Self.common + flags
        self.notes = notes
    }

    private static let common = [
        Flag(
            "server", "URI",
            "the Dormouse server and exchange (default dormouse://127.0.0.1:3673/main)"),
        Flag(
            "token-file", "FILE", "read the token from this file; secrets are never given as flags"),
        Flag(
            "metrics", "ADDRESS",
            "serve /metrics for Prometheus, /healthz and /readyz here, such as 127.0.0.1:9674; a loopback address"
        ),
        Flag("log-level", "LEVEL", "error, warning, info or debug (default info)"),
        Flag("help", nil, "print this and end"),
        Flag("version", nil, "print the version and end"),
    ]

    package var help: String {
        var lines = ["\(self.name): \(self.summary)", ""]
        for (index, usage) in self.usage.enumerated() {
            lines.append((index == 0 ? "usage: " : "       ") + "\(self.name) \(usage)")
        }
        lines.append("")
        let names = self.flags.map { "  --\($0.name)" + ($0.value.map { " \($0)" } ?? "") }
        let width = min(28, (names.map(\.count).max() ?? 0) + 2)
        for (flag, name) in zip(self.flags, names) {
            let padded =
                name.count <= width - 2
                ? name + String(repeating: " ", count: width - name.count)
                : name + "\n" + String(repeating: " ", count: width)
            lines.append(padded + flag.help + (flag.isRepeated ? "; may be repeated" : ""))
        }
        lines += ["", self.notes, ""]
        lines.append(
            "Each flag may also be given in the environment: --log-level is DORMOUSE_LOG_LEVEL, and where one may be"
        )
        lines.append("repeated, values are separated by blanks.")
        return lines.joined(separator: "\n")
    }
}

/// What the command line and the environment say.
package struct Settings: Hashable, Sendable {
    private var values: [String: [String]] = [:]

    package init(
        arguments: [String], environment: [String: String], flags: [Flag]
    ) throws(Failure) {
        for flag in flags {
            guard let text = environment[flag.variable], !text.isEmpty else { continue }
            self.values[flag.name] =
                flag.isRepeated ? text.split(separator: " ").map(String.init) : [text]
        }
        var given: Set<String> = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            let parts = argument.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard argument.hasPrefix("--"),
                let flag = flags.first(where: { $0.name == parts[0].dropFirst(2) })
            else { throw Failure(.invalidArgument, "there is no flag '\(parts[0])'; see --help") }
            if given.insert(flag.name).inserted { self.values[flag.name] = nil }
            if flag.value == nil {
                self.values[flag.name] = [""]
                continue
            }
            let value = parts.count == 2 ? String(parts[1]) : rest.popFirst()
            guard let value, !value.isEmpty else {
                throw Failure(
                    .invalidArgument, "--\(flag.name) wants a value: \(flag.value ?? "")")
            }
            if !flag.isRepeated, self.values[flag.name] != nil {
                throw Failure(.invalidArgument, "--\(flag.name) is given twice")
            }
            self.values[flag.name, default: []].append(value)
        }
    }

    package func has(_ name: String) -> Bool { self.values[name] != nil }
    package func all(_ name: String) -> [String] { self.values[name] ?? [] }
    package func text(_ name: String) -> String? { self.values[name]?.first }

    package func required(_ name: String, _ why: String) throws(Failure) -> String {
        guard let text = self.text(name) else {
            throw Failure(.invalidArgument, "--\(name) is missing: \(why)")
        }
        return text
    }

    package func number(_ name: String, default standard: Int, in range: ClosedRange<Int>)
        throws(Failure) -> Int
    {
        guard let text = self.text(name) else { return standard }
        guard let number = Int(text), range.contains(number) else {
            throw Failure(
                .invalidArgument,
                "--\(name) is '\(text)'; expected a number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    /// The first line of the file that this flag names; nil when it is not given.
    package func secret(_ name: String) throws(Failure) -> String? {
        try self.secretLines(name)?.first
    }

    /// All lines of a file that holds secrets; at least one.
    package func secretLines(_ name: String) throws(Failure) -> [String]? {
        guard let path = self.text(name) else { return nil }
        guard let file = fopen(path, "r") else {
            throw Failure(.invalidArgument, "cannot read --\(name) \(path)")
        }
        defer { fclose(file) }
        var lines: [String] = []
        var line = [CChar](repeating: 0, count: 4096)
        while lines.count < Self.secretLinesMax, fgets(&line, Int32(line.count), file) != nil {
            let bytes = line.prefix { $0 != 0 && $0 != 10 && $0 != 13 }
            lines.append(String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        guard !lines.isEmpty else {
            throw Failure(
                .invalidArgument, "--\(name) \(path) is empty; expected a secret in its first line")
        }
        return lines
    }

    private static let secretLinesMax = 100
}
