/// What is wrong with a JSON text, and where (bytes from its start).
struct JSONProblem: Error, Hashable {
    let text: String
    let offset: Int
}

/// Reads one JSON text from the left, by RFC 8259. It makes no tree: a caller takes the strings it
/// wants and the raw text of the rest. The bytes must be UTF-8; the caller checks that once.
struct JSONReader {
    let bytes: [UInt8]
    private(set) var offset = 0

    /// Deeper nesting is refused: nobody publishes it, and every level takes stack.
    private static let depthMax = 256

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The next byte that is not white space.
    mutating func peek() -> UInt8? {
        while self.offset < self.bytes.count {
            switch self.bytes[self.offset] {
            case 0x20, 0x09, 0x0A, 0x0D: self.offset += 1
            case let byte: return byte
            }
        }
        return nil
    }

    mutating func expectEnd() throws(JSONProblem) {
        if self.peek() != nil { throw self.problem("there is more after its end") }
    }

    /// An object; `member` is called with each name and must take the value.
    mutating func object(
        _ member: (inout JSONReader, [UInt8]) throws(JSONProblem) -> Void
    ) throws(JSONProblem) {
        try self.expect(UInt8(ascii: "{"), "an object")
        if self.take(UInt8(ascii: "}")) { return }
        repeat {
            let name = try self.string()
            try self.expect(UInt8(ascii: ":"), "':'")
            try member(&self, name)
        } while self.take(UInt8(ascii: ","))
        try self.expect(UInt8(ascii: "}"), "',' or '}'")
    }

    /// An array; `element` must take the value.
    mutating func array(
        _ element: (inout JSONReader) throws(JSONProblem) -> Void
    ) throws(JSONProblem) {
        try self.expect(UInt8(ascii: "["), "an array")
        if self.take(UInt8(ascii: "]")) { return }
        repeat { try element(&self) } while self.take(UInt8(ascii: ","))
        try self.expect(UInt8(ascii: "]"), "',' or ']'")
    }

    /// Any value: where its text lies.
    mutating func value(depth: Int = 0) throws(JSONProblem) -> Range<Int> {
        guard depth < Self.depthMax else { throw self.problem("it is nested too deep") }
        guard let first = self.peek() else { throw self.problem("it ends too early") }
        let start = self.offset
        switch first {
        case UInt8(ascii: "{"):
            try self.object { reader, _ throws(JSONProblem) in
                _ = try reader.value(depth: depth + 1)
            }
        case UInt8(ascii: "["):
            try self.array { reader throws(JSONProblem) in
                _ = try reader.value(depth: depth + 1)
            }
        case UInt8(ascii: "\""): _ = try self.string()
        case UInt8(ascii: "t"): try self.word("true")
        case UInt8(ascii: "f"): try self.word("false")
        case UInt8(ascii: "n"): try self.word("null")
        default: try self.number()
        }
        return start..<self.offset
    }

    /// A string without its quotes and escapes.
    mutating func string() throws(JSONProblem) -> [UInt8] {
        try self.expect(UInt8(ascii: "\""), "a string")
        var text: [UInt8] = []
        while true {
            let start = self.offset
            while self.offset < self.bytes.count, self.bytes[self.offset] >= 0x20,
                self.bytes[self.offset] != UInt8(ascii: "\""),
                self.bytes[self.offset] != UInt8(ascii: "\\")
            {
                self.offset += 1
            }
            text += self.bytes[start..<self.offset]
            guard self.offset < self.bytes.count else {
                throw self.problem("a string has no end")
            }
            switch self.bytes[self.offset] {
            case UInt8(ascii: "\""):
                self.offset += 1
                return text
            case UInt8(ascii: "\\"):
                self.offset += 1
                try self.escape(into: &text)
            default:
                throw self.problem("a string has a control character")
            }
        }
    }

    // MARK: Parts

    private mutating func escape(into text: inout [UInt8]) throws(JSONProblem) {
        guard self.offset < self.bytes.count else { throw self.problem("a string has no end") }
        let letter = self.bytes[self.offset]
        self.offset += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            guard let scalar = Unicode.Scalar(try self.codePoint()) else {
                throw self.problem("a string has half of a surrogate pair")
            }
            text.append(contentsOf: String(Character(scalar)).utf8)
        default:
            throw self.problem("a string has an unknown escape")
        }
    }

    private mutating func codePoint() throws(JSONProblem) -> UInt32 {
        let high = try self.hexadecimal()
        guard (0xD800..<0xDC00).contains(high), self.offset + 1 < self.bytes.count,
            self.bytes[self.offset] == UInt8(ascii: "\\"),
            self.bytes[self.offset + 1] == UInt8(ascii: "u")
        else { return high }
        self.offset += 2
        let low = try self.hexadecimal()
        guard (0xDC00..<0xE000).contains(low) else { return high }
        return 0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)
    }

    private mutating func hexadecimal() throws(JSONProblem) -> UInt32 {
        let digits = self.bytes[self.offset...].prefix(4)
        guard digits.count == 4, !digits.contains(UInt8(ascii: "+")),
            let number = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw self.problem("\\u is not followed by four hexadecimal digits") }
        self.offset += 4
        return number
    }

    private mutating func number() throws(JSONProblem) {
        if self.bytes[self.offset] == UInt8(ascii: "-") { self.offset += 1 }
        let first = self.offset < self.bytes.count ? self.bytes[self.offset] : 0
        let count = self.digits()
        guard count > 0 else { throw self.problem("a value is expected here") }
        if first == UInt8(ascii: "0"), count > 1 { throw self.problem("a number begins with 0") }
        if self.skip(UInt8(ascii: ".")), self.digits() == 0 {
            throw self.problem("a number ends with a point")
        }
        if self.skip(UInt8(ascii: "e")) || self.skip(UInt8(ascii: "E")) {
            _ = self.skip(UInt8(ascii: "+")) || self.skip(UInt8(ascii: "-"))
            if self.digits() == 0 { throw self.problem("a number has no exponent") }
        }
    }

    private mutating func digits() -> Int {
        let start = self.offset
        while self.offset < self.bytes.count,
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self.bytes[self.offset])
        {
            self.offset += 1
        }
        return self.offset - start
    }

    private mutating func word(_ word: StaticString) throws(JSONProblem) {
        let isThere = word.withUTF8Buffer { expected in
            self.bytes[self.offset...].prefix(expected.count).elementsEqual(expected)
        }
        guard isThere else { throw self.problem("a value is expected here") }
        self.offset += word.utf8CodeUnitCount
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard self.offset < self.bytes.count, self.bytes[self.offset] == byte else { return false }
        self.offset += 1
        return true
    }

    /// The same after white space.
    private mutating func take(_ byte: UInt8) -> Bool {
        guard self.peek() == byte else { return false }
        self.offset += 1
        return true
    }

    private mutating func expect(_ byte: UInt8, _ what: String) throws(JSONProblem) {
        guard self.take(byte) else {
            throw self.problem(
                self.offset < self.bytes.count
                    ? "\(what) is expected here" : "it ends where \(what) is expected")
        }
    }

    func problem(_ text: String) -> JSONProblem {
        JSONProblem(text: text, offset: self.offset)
    }
}
