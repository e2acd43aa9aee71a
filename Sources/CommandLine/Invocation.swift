/// An option of a command: `--name`, or `--name VALUE`.
struct CommandOption: Hashable, Sendable {
    let name: String
    /// What stands for the value in the help; nil for a switch.
    let value: String?
    let help: String
    let repeats: Bool

    init(_ name: String, _ value: String, repeats: Bool = false, _ help: String) {
        self.name = name
        self.value = value
        self.repeats = repeats
        self.help = help
    }

    /// A switch.
    init(_ name: String, _ help: String) {
        self.name = name
        self.value = nil
        self.repeats = false
        self.help = help
    }

    var title: String { "--\(self.name)" + (self.value.map { " \($0)" } ?? "") }

    static let url = CommandOption(
        "url", "ADDRESS", "the server; default: DORMOUSE_URL, else dormouse://127.0.0.1:3673")
    static let timeout = CommandOption(
        "timeout", "DURATION", "how long to wait for an answer; default 15s")
    static let help = CommandOption("help", "show this help")
    static let everywhere = [CommandOption.url, CommandOption.timeout, CommandOption.help]

    static let exchange = CommandOption("exchange", "NAME", "the exchange; default main")
    static let json = CommandOption("json", "machine-readable output")
}

/// One command of the program: what it takes, and what its help says.
struct CommandDescription: Sendable {
    let name: String
    let summary: String
    /// Without the program's name, one line each.
    let usage: [String]
    /// How many operands there may be.
    let operands: ClosedRange<Int>
    let options: [CommandOption]
    let examples: [String]
    /// Further paragraphs of the help.
    var notes = ""
    let run: @Sendable (Invocation) throws(CommandFailure) -> ExitCode

    var allOptions: [CommandOption] { self.options + CommandOption.everywhere }
}

/// The command and its arguments, sorted.
struct Invocation {
    let command: String
    private(set) var operands: [String] = []
    private var values: [String: [String]] = [:]

    /// Sorts `arguments`. Throws `usage` for what the command does not take.
    init(_ arguments: [String], of command: CommandDescription) throws(CommandFailure) {
        self.command = command.name
        var rest = arguments[...]
        var onlyOperands = false
        while let argument = rest.popFirst() {
            if onlyOperands || !argument.hasPrefix("-") || argument == "-" {
                self.operands.append(argument)
            } else if argument == "--" {
                onlyOperands = true
            } else {
                try self.take(argument, &rest, of: command)
            }
        }
        if self.has("help") { return }
        guard command.operands.contains(self.operands.count) else {
            let surplus = self.operands.count > command.operands.upperBound
            let problem =
                surplus
                ? "does not take '\(self.operands[command.operands.upperBound])'"
                : "needs more arguments"
            throw .usage(
                "\(command.name) \(problem); usage: dormouse "
                    + command.usage.joined(separator: "\n   or: dormouse "))
        }
    }

    private mutating func take(
        _ argument: String, _ rest: inout ArraySlice<String>, of command: CommandDescription
    ) throws(CommandFailure) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let title = argument == "-h" ? "--help" : String(parts[0])
        guard let option = command.allOptions.first(where: { "--\($0.name)" == title }) else {
            throw .usage(Self.unknown(title, command))
        }
        if option.value == nil {
            guard parts.count == 1 else { throw .usage("\(title) takes no value") }
            self.values[option.name] = []
            return
        }
        guard let value = parts.count > 1 ? String(parts[1]) : rest.popFirst() else {
            throw .usage("\(option.title): the value is missing")
        }
        guard option.repeats || self.values[option.name] == nil else {
            throw .usage("\(title) is given twice")
        }
        self.values[option.name, default: []].append(value)
    }

    private static func unknown(_ title: String, _ command: CommandDescription) -> String {
        let known = command.allOptions.map { "--\($0.name)" }
        let advice =
            Text.nearest(to: title, in: known).map { "did you mean \($0)?" }
            ?? "see 'dormouse \(command.name) --help'"
        return "\(command.name) has no option \(title); \(advice)"
    }

    // MARK: Values

    func has(_ name: String) -> Bool { self.values[name] != nil }
    func value(_ name: String) -> String? { self.values[name]?.last }
    func values(_ name: String) -> [String] { self.values[name] ?? [] }

    /// A whole number in `range`, or nil when the option is not given.
    func number(
        _ name: String, in range: ClosedRange<UInt64>
    ) throws(CommandFailure) -> UInt64? {
        guard let text = self.value(name) else { return nil }
        guard let number = UInt64(text), range.contains(number) else {
            throw .usage(
                "--\(name) is '\(text)'; expected a whole number from \(range.lowerBound)"
                    + (range.upperBound > UInt64(Int64.max) ? "" : " to \(range.upperBound)"))
        }
        return number
    }

    /// Milliseconds, or nil when the option is not given.
    func duration(_ name: String) throws(CommandFailure) -> UInt64? {
        guard let text = self.value(name) else { return nil }
        guard let microseconds = TimeText.duration(text) else {
            throw .usage("--\(name) is '\(text)'; expected a duration such as 500ms, 30s or 1h30m")
        }
        return microseconds / 1000
    }
}
