// Text written as bytes, without strings in between: what is printed for each event.

extension [UInt8] {
    static func += (left: inout [UInt8], right: StaticString) {
        left.append(
            contentsOf: UnsafeBufferPointer(start: right.utf8Start, count: right.utf8CodeUnitCount))
    }
}

enum UTF8Check {
    static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        Self.isASCII(bytes) || String(validating: bytes, as: UTF8.self) != nil
    }

    /// Eight bytes at a time.
    private static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        while offset + 8 <= bytes.count {
            let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            if word & 0x8080_8080_8080_8080 != 0 { return false }
            offset += 8
        }
        while offset < bytes.count {
            if bytes[offset] >= 0x80 { return false }
            offset += 1
        }
        return true
    }
}

extension TimeText {
    static func append(_ number: UInt64, to text: inout [UInt8]) {
        // 2^64 has 20 digits.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var start = digits.count
            var rest = number
            repeat {
                start -= 1
                digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            text.append(contentsOf: digits[start...])
        }
    }

    /// With so many digits of the second, cut off and not rounded.
    static func append(rfc3339 microseconds: UInt64, digits: Int = 6, to text: inout [UInt8]) {
        let (year, month, day) = Self.date(daysSince1970: Int(microseconds / 86_400_000_000))
        let seconds = Int(microseconds / 1_000_000 % 86_400)
        Self.append(year, width: 4, to: &text)
        text.append(UInt8(ascii: "-"))
        Self.append(month, width: 2, to: &text)
        text.append(UInt8(ascii: "-"))
        Self.append(day, width: 2, to: &text)
        text.append(UInt8(ascii: "T"))
        Self.append(seconds / 3600, width: 2, to: &text)
        text.append(UInt8(ascii: ":"))
        Self.append(seconds / 60 % 60, width: 2, to: &text)
        text.append(UInt8(ascii: ":"))
        Self.append(seconds % 60, width: 2, to: &text)
        if digits > 0 {
            text.append(UInt8(ascii: "."))
            var fraction = Int(microseconds % 1_000_000)
            for _ in digits..<6 { fraction /= 10 }
            Self.append(fraction, width: digits, to: &text)
        }
        text.append(UInt8(ascii: "Z"))
    }

    private static func append(_ number: Int, width: Int, to text: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<width { divisor *= 10 }
        // A year beyond 9999 has more digits than four.
        while divisor <= number / 10 { divisor *= 10 }
        while divisor > 0 {
            text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / divisor % 10))
            divisor /= 10
        }
    }
}

extension Text {
    /// The same text as `printable`.
    static func appendPrintable(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
        if Self.isPlain(bytes) {
            text.append(contentsOf: bytes)
        } else {
            text += Array(Self.printable(Array(bytes)).utf8)
        }
    }

    /// The same text as `payload`.
    static func appendPayload(_ bytes: UnsafeRawBufferPointer, to text: inout [UInt8]) {
        if Self.isPlain(bytes) {
            text.append(contentsOf: bytes)
        } else {
            text += Array(Self.payload(Array(bytes)).utf8)
        }
    }

    /// Printable ASCII, as most text is.
    private static func isPlain(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
    }
}

extension JSONText {
    /// As `append`, a run of plain bytes at a time.
    static func append(_ bytes: UnsafeRawBufferPointer, to json: inout [UInt8]) {
        json.append(UInt8(ascii: "\""))
        var start = 0
        for (index, byte) in bytes.enumerated() where Self.isEscaped(byte) {
            json.append(contentsOf: bytes[start..<index])
            Self.appendEscaped(byte, to: &json)
            start = index + 1
        }
        json.append(contentsOf: bytes[start...])
        json.append(UInt8(ascii: "\""))
    }

    /// JSON has no bytes: what is not UTF-8 becomes U+FFFD.
    static func appendRepaired(_ bytes: UnsafeRawBufferPointer, to json: inout [UInt8]) {
        if UTF8Check.isValid(bytes) {
            Self.append(bytes, to: &json)
        } else {
            Self.append(Array(String(decoding: bytes, as: UTF8.self).utf8), to: &json)
        }
    }

    static func appendRepaired(_ bytes: [UInt8], to json: inout [UInt8]) {
        bytes.withUnsafeBytes { Self.appendRepaired($0, to: &json) }
    }
}
