/// The rules of event keys: words of `[A-Za-z0-9_-]` joined by dots, at most 255 bytes (as AMQP's
/// routing keys).
package enum EventKey {
    package static let bytesMax = 255

    /// What is wrong with `bytes` as a key, or nil. No allocation on the way through a good key.
    package static func problem(in bytes: UnsafeRawBufferPointer) -> Failure? {
        if bytes.isEmpty { return Self.failure("is empty") }
        if bytes.count > Self.bytesMax { return Self.failure("has \(bytes.count) bytes") }
        var wordBytes = 0
        for byte in bytes {
            if byte == Self.dot {
                if wordBytes == 0 { return Self.failure("has an empty word") }
                wordBytes = 0
            } else if Self.isWordByte(byte) {
                wordBytes += 1
            } else {
                return Self.failure("has a byte \(byte)")
            }
        }
        return wordBytes == 0 ? Self.failure("ends with a dot") : nil
    }

    package static let dot = UInt8(ascii: ".")

    package static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default:
            false
        }
    }

    private static func failure(_ problem: String) -> Failure {
        Failure(
            .invalidArgument,
            "the event key \(problem); expected words of A-Z a-z 0-9 _ - joined by dots, at most \(Self.bytesMax) bytes"
        )
    }
}
