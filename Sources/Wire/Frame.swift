package import Core

/// What a frame is. Source of the numbers: protocol.md, "Preface and frames".
package enum FrameType: UInt8, Hashable, Sendable, CaseIterable {
    /// Client to server: the input of the method in `code`.
    case request = 1
    /// Server to client: the output of the method when `code` is 0, else a failure.
    case response = 2
    /// Server to client: one message of a stream.
    case data = 3
    /// Server to client: the stream is over; `code` says why.
    case end = 4
    /// Client to server: ends the stream or request.
    case cancel = 5
    case ping = 6
    case pong = 7
    /// Server to client: no new requests; `code` says why.
    case goAway = 8

    /// Unknown types with this bit may be ignored, others may not.
    static let ignorableBit: UInt8 = 0x80
}

/// The 12 bytes before a frame's payload, all integers big-endian.
package struct FrameHeader: Hashable, Sendable {
    /// Bytes of the header itself.
    package static let bytesCount = 12
    /// A flag of a request: no reply is wanted unless it fails.
    package static let noReplyFlag: UInt8 = 0x01

    /// Bytes of the payload.
    package var length: UInt32
    package var type: FrameType
    package var flags: UInt8
    /// A method of a request, a status of a response, end or go-away; else 0.
    package var code: UInt16
    package var stream: StreamID

    package init(
        length: UInt32, type: FrameType, flags: UInt8 = 0, code: UInt16 = 0,
        stream: StreamID = .connection
    ) {
        self.length = length
        self.type = type
        self.flags = flags
        self.code = code
        self.stream = stream
    }

    /// Whether this request wants a reply only if it fails.
    package var wantsNoReply: Bool { self.flags & Self.noReplyFlag != 0 }

    package func encode(into bytes: inout [UInt8]) {
        let head =
            UInt64(self.length) << 32 | UInt64(self.type.rawValue) << 24 | UInt64(self.flags) << 16
            | UInt64(self.code)
        withUnsafeBytes(of: (head.bigEndian, self.stream.rawValue.bigEndian)) { header in
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: header[..<Self.bytesCount]))
        }
    }

    /// Reads the first 12 bytes. Throws `unimplemented` for every unknown type, ignorable ones
    /// included (`FrameDecoder` skips those), and `invalidArgument` for fewer bytes.
    package static func decode(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> FrameHeader {
        guard bytes.count >= Self.bytesCount else {
            throw Failure(
                .invalidArgument,
                "a frame header has \(bytes.count) bytes; expected \(Self.bytesCount)")
        }
        let rawType = Self.rawType(bytes)
        guard let type = FrameType(rawValue: rawType) else {
            throw Failure(
                .unimplemented,
                "a frame has the type \(rawType); expected 1 to 8, or a type above 127 that may "
                    + "be ignored")
        }
        return FrameHeader(
            length: Self.rawLength(bytes), type: type, flags: bytes[5],
            code: UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self)),
            stream: StreamID(
                rawValue: UInt32(
                    bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))))
    }

    /// The length field of at least 12 bytes.
    static func rawLength(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))
    }

    /// The type field of at least 12 bytes.
    static func rawType(_ bytes: UnsafeRawBufferPointer) -> UInt8 { bytes[4] }
}
