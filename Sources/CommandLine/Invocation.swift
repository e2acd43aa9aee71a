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

    /// What is typed so far, for the completion: whatever is wrong with it is passed over.
    init(lenient arguments: [String], of command: CommandDescription) {
        self.command = command.name
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument.hasPrefix("-"), argument != "-" {
                _ = try? self.take(argument, &rest, of: command)
            } else {
                self.operands.append(argument)
            }
        }
    }

    private mutating func take(
        _ argument: String, _ rest: inout ArraySlice<String>, of command: CommandDescription
    ) throws(CommandFailure) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let title = argument == "-h" ? "--help" : String(parts[0])
        guard let option = command.allOptions.first(where: { $0.isCalled(title) }) else {
            throw .usage(Self.unknown(title, command))
        }
        if option.value == nil {
            guard parts.count == 1 || option.optionalValue != nil else {
                throw .usage("\(title) takes no value")
            }
            self.values[option.name] = parts.count > 1 ? [String(parts[1])] : []
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
