import CWire
package import Core

/// A condition on a header as it was sent; `HeaderMatch` is the checked one.
package struct HeaderMatchMessage: Hashable, Sendable {
    package var name: [UInt8]
    package var kind: MatchKind
    package var value: [UInt8]

    package init(name: [UInt8] = [], kind: MatchKind = .equals, value: [UInt8] = []) {
        self.name = name
        self.kind = kind
        self.value = value
    }
}

extension HeaderMatchMessage: Message {
    static var unpack: Unpack<Dormouse__V1__HeaderMatch> { dormouse__v1__header_match__unpack }

    init(_ unpacked: Dormouse__V1__HeaderMatch) throws(Failure) {
        self.init(
            name: [UInt8](unpacked.name),
            kind: try MatchKind(unpacked: unpacked.kind.rawValue),
            value: [UInt8](unpacked.value))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.name)
        bytes.writeUInt32(2, UInt32(self.kind.rawValue))
        bytes.writeBytes(3, self.value)
    }
}

/// A receiver config as it was sent; `ReceiverConfig` is the checked one. One that was not sent is
/// the same as an empty one.
package struct ReceiverConfigMessage: Hashable, Sendable {
    /// Empty: `main`.
    package var exchange: [UInt8]
    /// Any of them; none: every key.
    package var patterns: [[UInt8]]
    /// All of them.
    package var headers: [HeaderMatchMessage]

    package init(
        exchange: [UInt8] = [], patterns: [[UInt8]] = [], headers: [HeaderMatchMessage] = []
    ) {
        self.exchange = exchange
        self.patterns = patterns
        self.headers = headers
    }
}

extension ReceiverConfigMessage: Message {
    static var unpack: Unpack<Dormouse__V1__ReceiverConfig> {
        dormouse__v1__receiver_config__unpack
    }

    init(_ unpacked: Dormouse__V1__ReceiverConfig) throws(Failure) {
        self.init(
            exchange: [UInt8](unpacked.exchange),
            patterns: unpackedBytes(unpacked.patterns, count: unpacked.n_patterns),
            headers: try HeaderMatchMessage.all(unpacked.headers, count: unpacked.n_headers))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.exchange)
        for each in self.patterns { bytes.writeElement(2, each) }
        for each in self.headers {
            bytes.writeMessage(3) { each.encode(into: &$0) }
        }
    }
}

extension ReceiverConfigMessage {
    /// One that was not sent is one with defaults.
    init(optional unpacked: UnsafeMutablePointer<Dormouse__V1__ReceiverConfig>?) throws(Failure) {
        if let unpacked {
            try self.init(unpacked.pointee)
        } else {
            self.init()
        }
    }

    package init(exchange: [UInt8], _ config: ReceiverConfig) {
        self.init(
            exchange: exchange, patterns: config.patterns.map { Array($0.text.utf8) },
            headers: config.headers.map {
                HeaderMatchMessage(name: $0.name, kind: $0.kind, value: $0.value)
            })
    }

    /// The config, checked: throws `invalidArgument` for too many or malformed patterns and header
    /// matches. The exchange is left to the caller.
    package func checked() throws(Failure) -> ReceiverConfig {
        // Before any pattern is parsed: a frame of them would be a lot of work.
        guard self.patterns.count <= Limits.patternsMax,
            self.headers.count <= Limits.headerMatchesMax
        else {
            throw Failure(
                .invalidArgument,
                "the receiver config has \(self.patterns.count) patterns and "
                    + "\(self.headers.count) header matches; expected at most "
                    + "\(Limits.patternsMax) and \(Limits.headerMatchesMax)")
        }
        var patterns: [KeyPattern] = []
        for pattern in self.patterns { patterns.append(try KeyPattern(bytes: pattern)) }
        var headers: [HeaderMatch] = []
        for header in self.headers {
            headers.append(
                try HeaderMatch(name: header.name, kind: header.kind, value: header.value))
        }
        return try ReceiverConfig(patterns: patterns, headers: headers)
    }
}
