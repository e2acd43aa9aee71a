import Core
import DormouseClient

/// Options that say which events, and from where.
enum Filters {
    static let starts = ValueKind.words(["first", "next", "last", "@"])

    static let options = [
        CommandOption(
            "pattern", "PATTERN", repeats: true,
            "keys to receive, such as 'orders.#'; given again: any of them"),
        CommandOption(
            "header", "MATCH", repeats: true,
            "NAME=VALUE, NAME^=PREFIX, NAME or !NAME (absent); given again: all of them"),
    ]

    static func filter(_ invocation: Invocation) throws(CommandFailure) -> Filter {
        let filter = Filter(
            patterns: invocation.values("pattern"),
            headers: invocation.values("header").map(Self.match))
        // The same checks as the server's, before anything is sent.
        try attempt { () throws(Failure) in try filter.check() }
        return filter
    }

    static func match(_ text: String) -> DormouseClient.HeaderMatch {
        if text.hasPrefix("!") { return .absent(String(text.dropFirst())) }
        guard let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) else {
            return .exists(text)
        }
        let name = text[..<equals]
        let value = Array(text.utf8[text.utf8.index(after: equals)...])
        return name.hasSuffix("^")
            ? .prefix(String(name.dropLast()), value) : .equals(String(name), value)
    }

    /// `first`, `next`, `last`, a position or `@TIME`.
    static func start(
        _ text: String, option: String, now: UInt64 = OS.now
    ) throws(CommandFailure) -> Start {
        switch text {
        case "first": return .first
        case "next": return .next
        case "last": return .last
        default: break
        }
        if text.hasPrefix("@"), let time = TimeText.time(String(text.dropFirst()), now: now) {
            return .time(time)
        }
        if let position = UInt64(text), position > 0 { return .position(position) }
        throw .usage(
            "--\(option) is '\(text)'; expected first, next, last, a position from 1 on, or @TIME "
                + "such as @2026-03-01T12:00:00Z or @-1h")
    }
}

extension Filter {
    /// Throws `invalidArgument` for too many or malformed patterns and matches.
    fileprivate func check() throws(Failure) {
        var patterns: [KeyPattern] = []
        for pattern in self.patterns { patterns.append(try KeyPattern(bytes: Array(pattern.utf8))) }
        var headers: [Core.HeaderMatch] = []
        for match in self.headers {
            let (name, kind, value): (String, MatchKind, [UInt8]) =
                switch match {
                case .equals(let name, let value): (name, .equals, value)
                case .prefix(let name, let value): (name, .prefix, value)
                case .exists(let name): (name, .exists, [])
                case .absent(let name): (name, .absent, [])
                }
            headers.append(
                try Core.HeaderMatch(name: Array(name.utf8), kind: kind, value: value))
        }
        _ = try ReceiverConfig(patterns: patterns, headers: headers)
    }
}
