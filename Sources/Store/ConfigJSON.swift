import Core

/// A receiver's config as JSON, for people who look into the table.
enum ConfigJSON {
    static func text(_ config: ReceiverConfig) -> String {
        let patterns = config.patterns.map { Self.quoted(Array($0.text.utf8)) }
        let headers = config.headers.map { match in
            let value = match.value.isEmpty ? "" : ", \"value\": \(Self.quoted(match.value))"
            return "{\"name\": \(Self.quoted(match.name)), \"kind\": \"\(match.kind)\"\(value)}"
        }
        return "{\"patterns\": [\(patterns.joined(separator: ", "))], "
            + "\"headers\": [\(headers.joined(separator: ", "))]}"
    }

    /// A JSON string; bytes that are not text, or hold a zero, which jsonb does not take, come as
    /// \x and hexadecimal digits.
    private static func quoted(_ bytes: [UInt8]) -> String {
        guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
            return "\"\\\\x" + bytes.map { Self.hex($0) }.joined() + "\""
        }
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20: result += "\\u00" + Self.hex(UInt8(scalar.value))
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    private static func hex(_ byte: UInt8) -> String {
        let digits = Array("0123456789abcdef")
        return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
    }
}
