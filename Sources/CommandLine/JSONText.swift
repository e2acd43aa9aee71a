/// Writes JSON without escapes beyond the necessary ones.
enum JSONText {
    /// Appends a string in quotes. The bytes are UTF-8; the caller has checked.
    static func append(_ bytes: [UInt8], to json: inout [UInt8]) {
        bytes.withUnsafeBytes { Self.append($0, to: &json) }
    }

    static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7F
    }

    static func appendEscaped(_ byte: UInt8, to json: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\n"): json += "\\n"
        case UInt8(ascii: "\r"): json += "\\r"
        case UInt8(ascii: "\t"): json += "\\t"
        case 0..<0x20, 0x7F:
            json += "\\u00"
            json += [Self.hexDigits[Int(byte >> 4)], Self.hexDigits[Int(byte & 15)]]
        default: json += [UInt8(ascii: "\\"), byte]
        }
    }

    static func quoted(_ text: String) -> String {
        var json: [UInt8] = []
        Self.append(Array(text.utf8), to: &json)
        return String(decoding: json, as: UTF8.self)
    }

    /// Bytes that should be text; what is not UTF-8 is repaired.
    static func quoted(_ bytes: [UInt8]) -> String {
        Self.quoted(String(decoding: bytes, as: UTF8.self))
    }

    private static let hexDigits = Array("0123456789abcdef".utf8)
}

/// RFC 4648, section 4, with padding.
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")

    private static let values: [UInt8?] = {
        var values = [UInt8?](repeating: nil, count: 256)
        for (value, letter) in Self.alphabet.enumerated() { values[Int(letter)] = UInt8(value) }
        return values
    }()

    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let second = start + 1 < bytes.count ? bytes[start + 1] : 0
            let third = start + 2 < bytes.count ? bytes[start + 2] : 0
            let group = UInt32(bytes[start]) << 16 | UInt32(second) << 8 | UInt32(third)
            text.append(Self.alphabet[Int(group >> 18)])
            text.append(Self.alphabet[Int(group >> 12 & 63)])
            text.append(
                start + 1 < bytes.count ? Self.alphabet[Int(group >> 6 & 63)] : Self.padding)
            text.append(start + 2 < bytes.count ? Self.alphabet[Int(group & 63)] : Self.padding)
        }
        return text
    }

    /// Nil for text that is not base64. Padding may be left out.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        var letters = text[...]
        while letters.last == Self.padding, text.count - letters.count < 2 { letters.removeLast() }
        guard letters.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(letters.count / 4 * 3 + 2)
        var group: UInt32 = 0
        var bits = 0
        for letter in letters {
            guard let value = Self.values[Int(letter)] else { return nil }
            group = (group << 6 | UInt32(value)) & 0xFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
            }
        }
        return bytes
    }
}
