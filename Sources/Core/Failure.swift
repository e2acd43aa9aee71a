/// The one error of the system. `code` is for programs and is the number on the wire; `message` is
/// for people and says what was wrong, what was expected and what to do. Neither ever holds SQL,
/// payloads or credentials; `underlying` may, and goes to the log only.
package struct Failure: Error, Hashable, Sendable {
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

    package init(
        _ code: StatusCode, _ message: String, detail: String = "",
        firstPosition: Position = .origin,
        incarnation: [UInt8] = [], retryAfterMilliseconds: UInt32 = 0, underlying: String = ""
    ) {
        self.code = code
        self.message = message
        self.detail = detail
        self.firstPosition = firstPosition
        self.incarnation = incarnation
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.underlying = underlying
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
