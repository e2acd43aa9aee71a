/// The 8 bytes with which a client opens a connection.
package enum Preface {
    /// 0xD0, "DORM", CR, LF, major version 1. The first byte is not ASCII and not TLS', the line
    /// end shows transports that change line ends.
    package static let bytes: [UInt8] = [0xD0, 0x44, 0x4F, 0x52, 0x4D, 0x0D, 0x0A, 0x01]
}

/// Recognises the preface in pieces of any size.
package struct PrefaceDecoder {
    package enum Verdict: Hashable, Sendable {
        case needsMore
        /// The preface was complete; frames start after the first `consumed` bytes of this push.
        case complete(consumed: Int)
        /// Somebody else; `description` is a line for the log that says who it may be.
        case mismatch(description: String)
    }

    private var matched = 0

    package init() {}

    /// To be called until the verdict is another than `needsMore`, and not after that.
    package mutating func push(_ bytes: UnsafeRawBufferPointer) -> Verdict {
        var consumed = 0
        while self.matched < Preface.bytes.count {
            guard consumed < bytes.count else { return .needsMore }
            guard bytes[consumed] == Preface.bytes[self.matched] else {
                let first = Preface.bytes.prefix(self.matched) + bytes.dropFirst(consumed).prefix(8)
                return .mismatch(description: Self.describe(Array(first)))
            }
            consumed += 1
            self.matched += 1
        }
        return .complete(consumed: consumed)
    }

    /// Who it may be that begins with these bytes, for the log.
    package static func guess(_ bytes: UnsafeRawBufferPointer) -> String {
        var decoder = PrefaceDecoder()
        switch decoder.push(bytes) {
        case .mismatch(let description): return description
        case .complete, .needsMore: return "a Dormouse client"
        }
    }

    private static let verbs = [
        "GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE ", "CONNECT ",
        "PRI ",
    ]

    private static func describe(_ bytes: [UInt8]) -> String {
        let expected = "expected a Dormouse client of major version 1"
        if bytes.count >= Preface.bytes.count, bytes.starts(with: Preface.bytes.dropLast()) {
            let version = bytes[Preface.bytes.count - 1]
            return "a Dormouse client of major version \(version); \(expected)"
        }
        if bytes.first == 0x16 {
            return "a TLS hello on a port without TLS; \(expected), or TLS on the TLS port"
        }
        if Self.isHTTP(bytes) {
            return "an HTTP request; \(expected). This port does not speak HTTP"
        }
        let digits = bytes.map { byte in
            let text = String(byte, radix: 16)
            return text.count < 2 ? "0" + text : text
        }
        return "a connection that starts with the bytes \(digits.joined(separator: " ")); "
            + expected
    }

    /// Three bytes are enough to tell; a proxy may send a verb in pieces.
    private static func isHTTP(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 3
            && Self.verbs.contains { verb in
                zip(verb.utf8, bytes).allSatisfy { $0 == $1 }
            }
    }
}
