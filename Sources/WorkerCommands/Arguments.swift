/// What was wrong with a command line, and what was expected. Ends the program with code 64.
public struct UsageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// For people.
    public let description: String

    /// A mistake of whoever typed it.
    public init(_ description: String) {
        self.description = description
    }
}

/// The words of a command line: `--name VALUE` or `--name=VALUE`, switches, and everything else in order.
public struct Arguments {
    /// Neither flags nor their values.
    public private(set) var words: [String] = []
    private var values: [String: String] = [:]
    private var switches: Set<String> = []

    /// - Parameters:
    ///   - arguments: without the program's name.
    ///   - flags: names of what takes a value, with their dashes.
    ///   - switches: names of what takes none.
    public init(
        _ arguments: [String], flags: Set<String>, switches: Set<String>
    ) throws(UsageError) {
        var rest = arguments[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word != "-" else {
                self.words.append(word)
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            if switches.contains(name), parts.count == 1 {
                self.switches.insert(name)
            } else if flags.contains(name) {
                guard let value = parts.count > 1 ? String(parts[1]) : rest.popFirst() else {
                    throw UsageError("\(name) wants a value")
                }
                self.values[name] = value
            } else {
                throw UsageError("there is no \(name); --help lists what there is")
            }
        }
    }

    /// What stands behind a command was meant to do something: it is not passed over. `count` words are the command.
    public func expectNoMore(than count: Int) throws(UsageError) {
        guard let word = self.words.dropFirst(count).first else { return }
        throw UsageError(
            "'\(word)' is too much behind '\(self.words.prefix(count).joined(separator: " "))'; --help lists what there is"
        )
    }

    /// The value of a flag; nil: it was not given.
    public func value(_ name: String) -> String? { self.values[name] }

    /// Whether a switch was given.
    public func has(_ name: String) -> Bool { self.switches.contains(name) }

    /// A whole number in `range`.
    public func number(
        _ name: String, in range: ClosedRange<Int>, default: Int
    ) throws(UsageError) -> Int {
        guard let text = self.values[name] else { return `default` }
        guard let number = Int(text), range.contains(number) else {
            throw UsageError(
                "\(name) is '\(text)', not a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }

    /// One of these words.
    public func choice<Choice: CaseIterable & RawRepresentable<String>>(
        _ name: String, default: Choice
    ) throws(UsageError) -> Choice {
        guard let text = self.values[name] else { return `default` }
        return try Self.choice(name, text)
    }

    /// The one that `text` names; `name` is for people.
    public static func choice<Choice: CaseIterable & RawRepresentable<String>>(
        _ name: String, _ text: String
    ) throws(UsageError) -> Choice {
        guard let choice = Choice(rawValue: text) else {
            let all = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError("\(name) is '\(text)'; it may be \(all)")
        }
        return choice
    }

    /// Seconds such as `2` or `0.5`, in milliseconds.
    public func milliseconds(_ name: String, default: Int) throws(UsageError) -> Int {
        guard let text = self.values[name] else { return `default` }
        guard let seconds = Double(text), seconds >= 0, seconds <= 86_400 else {
            throw UsageError("\(name) is '\(text)', not a number of seconds up to 86400")
        }
        return Int(seconds * 1_000)
    }
}
