/// The rules of event keys: words of `[A-Za-z0-9_-]` joined by dots, at most 255 bytes (as AMQP's
/// routing keys).
package enum EventKey {
    package static let bytesMax = 255

    /// What is wrong with `bytes` as a key, or nil. No allocation on the way through a good key.
    package static func problem(in bytes: UnsafeRawBufferPointer) -> Failure? {
        if bytes.isEmpty { return Self.failure("is empty") }
        if bytes.count > Self.bytesMax { return Self.failure("has \(bytes.count) bytes") }
        var isWordBegun = false
        for index in 0..<bytes.count {
            let byte = bytes[index]
            if Self.isWordByte(byte) {
                isWordBegun = true
            } else if byte == Self.dot {
                if !isWordBegun { return Self.failure("has an empty word") }
                isWordBegun = false
            } else {
                return Self.failure("has a byte \(byte)")
            }
        }
        return isWordBegun ? nil : Self.failure("ends with a dot")
    }

    package static let dot = UInt8(ascii: ".")

    package static func isWordByte(_ byte: UInt8) -> Bool {
        let bits = byte < 64 ? Self.wordBytes : Self.wordBytesFrom64
        return byte < 128 && bits >> (byte & 63) & 1 == 1
    }

    /// A bit for each byte up to 63 that may be in a word: - 0…9.
    private static let wordBytes: UInt64 = 0x03FF_2000_0000_0000
    /// The same from 64 on: A…Z _ a…z.
    private static let wordBytesFrom64: UInt64 = 0x07FF_FFFE_87FF_FFFE

    private static func failure(_ problem: String) -> Failure {
        Failure(
            .invalidArgument,
            "the event key \(problem); expected words of A-Z a-z 0-9 _ - joined by dots, at most \(Self.bytesMax) bytes"
        )
    }
}
