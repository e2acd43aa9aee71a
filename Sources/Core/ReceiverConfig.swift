/// What a match on one header asks for.
package enum MatchKind: UInt8, Hashable, Sendable, CaseIterable {
    case equals = 0
    case prefix = 1
    case exists = 2
    case absent = 3
}

/// A condition on one header of an event.
package struct HeaderMatch: Hashable, Sendable {
    package let name: [UInt8]
    package let kind: MatchKind
    package let value: [UInt8]

    package init(name: [UInt8], kind: MatchKind, value: [UInt8]) throws(Failure) {
        guard (1...Limits.headerNameBytesMax).contains(name.count) else {
            throw Failure(
                .invalidArgument,
                "the header name of a match has \(name.count) bytes; expected 1 to \(Limits.headerNameBytesMax)"
            )
        }
        guard value.count <= Limits.headerMatchValueBytesMax else {
            throw Failure(
                .invalidArgument,
                "the value of a header match has \(value.count) bytes; expected at most \(Limits.headerMatchValueBytesMax)"
            )
        }
        self.name = name
        self.kind = kind
        self.value = kind == .equals || kind == .prefix ? value : []
    }

    fileprivate var canonicalBytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendCounted(self.name)
        bytes.append(self.kind.rawValue)
        bytes.appendCounted(self.value)
        return bytes
    }
}

/// Which events a receiver lets through: any of the patterns (none = every key) and all of the
/// header matches. Two configs that say the same in another order are the same config: their
/// canonical bytes are equal, and those are the receiver's identity within an exchange.
package struct ReceiverConfig: Hashable, Sendable {
    package let patterns: [KeyPattern]
    package let headers: [HeaderMatch]

    package static let everything = ReceiverConfig(sorted: [], [])

    package init(patterns: [KeyPattern], headers: [HeaderMatch]) throws(Failure) {
        guard patterns.count <= Limits.patternsMax, headers.count <= Limits.headerMatchesMax else {
            throw Failure(
                .invalidArgument,
                "the receiver config has \(patterns.count) patterns and \(headers.count) header matches; "
                    + "expected at most \(Limits.patternsMax) and \(Limits.headerMatchesMax)")
        }
        let words = patterns.reduce(0) { $0 + $1.wordsCount }
        guard words <= Limits.patternWordsMax else {
            throw Failure(
                .invalidArgument,
                "the receiver config's patterns have \(words) words together; expected at most "
                    + "\(Limits.patternWordsMax)")
        }
        self.init(
            sorted: Set(patterns).sorted(),
            Set(headers).sorted { $0.canonicalBytes.lexicographicallyPrecedes($1.canonicalBytes) })
    }

    /// What a key must match one of.
    package var indexedPatterns: [KeyPattern] {
        self.patterns.isEmpty ? [.everything] : self.patterns
    }

    private init(sorted patterns: [KeyPattern], _ headers: [HeaderMatch]) {
        self.patterns = patterns
        self.headers = headers
    }

    /// Version byte 1, then counted patterns, then counted header matches; counts are big-endian
    /// 16-bit.
    package var canonicalBytes: [UInt8] {
        var bytes: [UInt8] = [1]
        bytes.appendCount(self.patterns.count)
        for pattern in self.patterns { bytes.appendCounted(Array(pattern.text.utf8)) }
        bytes.appendCount(self.headers.count)
        for header in self.headers { bytes += header.canonicalBytes }
        return bytes
    }

    /// Reads what `canonicalBytes` wrote; anything else is a failure (`internal`: it came from our
    /// own table).
    package init(canonicalBytes: [UInt8]) throws(Failure) {
        do throws(Failure) {
            try self.init(reading: canonicalBytes)
        } catch {
            var damaged = CanonicalReader.damaged
            damaged.underlying = error.message
            throw damaged
        }
        guard self.canonicalBytes == canonicalBytes else { throw CanonicalReader.damaged }
    }

    private init(reading canonicalBytes: [UInt8]) throws(Failure) {
        var reader = CanonicalReader(bytes: canonicalBytes)
        guard try reader.byte() == 1 else { throw CanonicalReader.damaged }
        var patterns: [KeyPattern] = []
        for _ in 0..<(try reader.count()) {
            patterns.append(try KeyPattern(bytes: try reader.counted()))
        }
        var headers: [HeaderMatch] = []
        for _ in 0..<(try reader.count()) {
            let name = try reader.counted()
            guard let kind = MatchKind(rawValue: try reader.byte()) else {
                throw CanonicalReader.damaged
            }
            headers.append(try HeaderMatch(name: name, kind: kind, value: try reader.counted()))
        }
        guard reader.isAtEnd else { throw CanonicalReader.damaged }
        try self.init(patterns: patterns, headers: headers)
    }
}

private struct CanonicalReader {
    static let damaged = Failure(
        .internal,
        "a stored receiver config cannot be read; expected what this version or an older one wrote")

    let bytes: [UInt8]
    var offset = 0

    var isAtEnd: Bool { self.offset == self.bytes.count }

    mutating func byte() throws(Failure) -> UInt8 {
        guard self.offset < self.bytes.count else { throw Self.damaged }
        defer { self.offset += 1 }
        return self.bytes[self.offset]
    }

    mutating func count() throws(Failure) -> Int {
        Int(try self.byte()) << 8 | Int(try self.byte())
    }

    mutating func counted() throws(Failure) -> [UInt8] {
        let count = try self.count()
        guard count <= self.bytes.count - self.offset else { throw Self.damaged }
        defer { self.offset += count }
        return Array(self.bytes[self.offset..<self.offset + count])
    }
}

extension [UInt8] {
    /// Callers bound `count` by the limits on configs, all far below 65,536.
    fileprivate mutating func appendCount(_ count: Int) {
        self.append(UInt8(truncatingIfNeeded: count >> 8))
        self.append(UInt8(truncatingIfNeeded: count))
    }

    fileprivate mutating func appendCounted(_ bytes: [UInt8]) {
        self.appendCount(bytes.count)
        self += bytes
    }
}
