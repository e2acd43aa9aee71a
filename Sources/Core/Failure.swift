/// The one error of the system. `code` is for programs and is the number on the wire; `message` is
/// for people and says what was wrong, what was expected and what to do. Neither ever holds SQL,
/// payloads or credentials; `underlying` may, and goes to the log only.
///
/// As large as one pointer: it is a part of nearly every result, and nearly never there.
package struct Failure: Error, Hashable, Sendable {
    private struct Content: Hashable, Sendable {
        var code: StatusCode
        var message: String
        var detail: String
        var firstPosition: Position
        var incarnation: [UInt8]
        var retryAfterMilliseconds: UInt32
        var underlying: String
    }

    private final class Box: Sendable {
        let content: Content
        init(_ content: Content) { self.content = content }
    }

    private var box: Box

    private var content: Content {
        get { self.box.content }
        set { self.box = Box(newValue) }
    }

    package init(
        _ code: StatusCode, _ message: String, detail: String = "",
        firstPosition: Position = .origin,
        incarnation: [UInt8] = [], retryAfterMilliseconds: UInt32 = 0, underlying: String = ""
    ) {
        self.box = Box(
            Content(
                code: code, message: message, detail: detail, firstPosition: firstPosition,
                incarnation: incarnation, retryAfterMilliseconds: retryAfterMilliseconds,
                underlying: underlying))
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.box === right.box || left.content == right.content
    }

    package func hash(into hasher: inout Hasher) { self.content.hash(into: &hasher) }

    package var code: StatusCode {
        get { self.content.code }
        set { self.content.code = newValue }
    }

    package var message: String {
        get { self.content.message }
        set { self.content.message = newValue }
    }

    package var detail: String {
        get { self.content.detail }
        set { self.content.detail = newValue }
    }

    /// With `positionLost`: the first position that is left.
    package var firstPosition: Position {
        get { self.content.firstPosition }
        set { self.content.firstPosition = newValue }
    }

    /// With `positionLost`: the incarnation of the log that is here now.
    package var incarnation: [UInt8] {
        get { self.content.incarnation }
        set { self.content.incarnation = newValue }
    }

    package var retryAfterMilliseconds: UInt32 {
        get { self.content.retryAfterMilliseconds }
        set { self.content.retryAfterMilliseconds = newValue }
    }

    /// What a library said; for the log, never for a client.
    package var underlying: String {
        get { self.content.underlying }
        set { self.content.underlying = newValue }
    }
}

extension Failure {
    /// What a store says when its server no longer owns the exchange, and what clients are told then.
    package static let exchangeLost = Failure(
        .unavailable, "another server has taken this exchange; connect to that one")
}

extension Failure: CustomStringConvertible {
    package var description: String {
        let cause = self.underlying.isEmpty ? "" : " (\(self.underlying))"
        return "\(self.code.name): \(self.message)\(cause)"
    }
}
