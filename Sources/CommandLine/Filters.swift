import Core
import Wire

/// Options that say which events, and from where.
enum Filters {
    static let options = [
        CommandOption(
            "pattern", "PATTERN", repeats: true,
            "keys to receive, such as 'orders.#'; given again: any of them"),
        CommandOption(
            "header", "MATCH", repeats: true,
            "NAME=VALUE, NAME^=PREFIX, NAME or !NAME (absent); given again: all of them"),
    ]

    static func config(
        _ invocation: Invocation, exchange: [UInt8]
    ) throws(CommandFailure) -> ReceiverConfigMessage {
        var config = ReceiverConfigMessage(exchange: exchange)
        for pattern in invocation.values("pattern") {
            config.patterns.append(Array(pattern.utf8))
        }
        for text in invocation.values("header") { config.headers.append(Self.match(text)) }
        // The same checks as the server's, before anything is sent.
        _ = try attempt { () throws(Failure) in try config.checked() }
        return config
    }

    static func match(_ text: String) -> HeaderMatchMessage {
        let bytes = Array(text.utf8)
        if bytes.first == UInt8(ascii: "!") {
            return HeaderMatchMessage(name: Array(bytes.dropFirst()), kind: .absent)
        }
        guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else {
            return HeaderMatchMessage(name: bytes, kind: .exists)
        }
        let value = Array(bytes[(equals + 1)...])
        if equals > 0, bytes[equals - 1] == UInt8(ascii: "^") {
            return HeaderMatchMessage(
                name: Array(bytes[..<(equals - 1)]), kind: .prefix, value: value)
        }
        return HeaderMatchMessage(name: Array(bytes[..<equals]), kind: .equals, value: value)
    }

    /// `first`, `next`, `last`, a position or `@TIME`.
    static func start(
        _ text: String, option: String, now: UInt64 = OS.now
    ) throws(CommandFailure) -> (start: Start, value: UInt64) {
        switch text {
        case "first": return (.first, 0)
        case "next": return (.next, 0)
        case "last": return (.last, 0)
        default: break
        }
        if text.hasPrefix("@"), let time = TimeText.time(String(text.dropFirst()), now: now) {
            return (.time, time)
        }
        if let position = UInt64(text), position > 0 { return (.position, position) }
        throw .usage(
            "--\(option) is '\(text)'; expected first, next, last, a position from 1 on, or @TIME "
                + "such as @2026-03-01T12:00:00Z or @-1h")
    }
}
