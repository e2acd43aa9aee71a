import CWire
package import Core

/// The payload of a RESPONSE, END or GOAWAY whose status is not OK. The status is the code of
/// the frame.
package enum FailureMessage {
    /// Appends the failure without its code and without `underlying`, which is for the log only.
    package static func encode(_ failure: Failure, into bytes: inout [UInt8]) {
        bytes.writeBytes(1, Array(failure.message.utf8))
        bytes.writeBytes(2, Array(failure.detail.utf8))
        bytes.writeFixed64(3, failure.firstPosition.rawValue)
        bytes.writeBytes(4, failure.incarnation)
        bytes.writeUInt32(5, failure.retryAfterMilliseconds)
    }

    /// The failure that a frame with the status `code` carries. Never fails itself: a status from
    /// a newer server, or OK where a failure was announced, becomes `internal`, and the text of a
    /// payload that cannot be read is left empty. Text that is not UTF-8 is repaired.
    package static func decode(
        code: UInt16, payload: UnsafeRawBufferPointer, arena: Arena
    ) -> Failure {
        var failure = Failure(.internal, "")
        do throws(Failure) {
            failure = try arena.withUnpacked(
                payload, budget: Reply.arenaBudget, by: dormouse__v1__failure__unpack
            ) { unpacked in
                Failure(
                    .internal, String(decoding: [UInt8](unpacked.message), as: UTF8.self),
                    detail: String(decoding: [UInt8](unpacked.detail), as: UTF8.self),
                    firstPosition: Position(unpacked.first_position),
                    incarnation: [UInt8](unpacked.incarnation),
                    retryAfterMilliseconds: unpacked.retry_after_ms)
            }
        } catch {
            failure.underlying = error.message
        }
        if let status = StatusCode(rawValue: code), status != .ok {
            failure.code = status
        } else {
            let note = "the status \(code) is unknown here"
            failure.underlying += failure.underlying.isEmpty ? note : "; " + note
        }
        return failure
    }
}
