/// The one error of the system. `code` is for programs and is the number on the wire; `message` is
/// for people and says what was wrong, what was expected and what to do. Neither ever holds SQL,
/// payloads or credentials; `underlying` may, and goes to the log only.
///
/// As large as one pointer: it is a part of nearly every result, and nearly never there.
@dynamicMemberLookup
package struct Failure: Error, Hashable, Sendable {
    package struct Content: Hashable, Sendable {
        package var code: StatusCode
        package var message: String
        package var detail: String
        /// With `positionLost`: the first position that is left.
        package var firstPosition: Position
        /// With `positionLost`: the incarnation of the log that is here now.
        package var incarnation: [UInt8]
        package var retryAfterMilliseconds: UInt32
        /// What a library said; for the log, never for a client.
        package var underlying: String
    }

    private final class Box: Sendable {
        let content: Content
        init(_ content: Content) { self.content = content }
    }

    private var box: Box

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

    package subscript<Value>(dynamicMember member: WritableKeyPath<Content, Value>) -> Value {
        get { self.box.content[keyPath: member] }
        set {
            var content = self.box.content
            content[keyPath: member] = newValue
            self.box = Box(content)
        }
    }

    package static func == (left: Self, right: Self) -> Bool {
        left.box === right.box || left.box.content == right.box.content
    }

    package func hash(into hasher: inout Hasher) { self.box.content.hash(into: &hasher) }
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
