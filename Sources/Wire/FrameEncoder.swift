package import Core

/// Writes whole frames.
package enum FrameEncoder {
    /// Appends a frame whose payload `payload` appends. The caller keeps payloads within
    /// `Limits.frameBytesMax`, far below the 32 bits of the length.
    package static func append(
        _ type: FrameType, flags: UInt8 = 0, code: UInt16 = 0, stream: StreamID = .connection,
        to bytes: inout [UInt8], payload: (inout [UInt8]) -> Void = { _ in }
    ) {
        let start = bytes.count
        FrameHeader(length: 0, type: type, flags: flags, code: code, stream: stream)
            .encode(into: &bytes)
        payload(&bytes)
        let length = bytes.count - start - FrameHeader.bytesCount
        let bigEndian = UInt32(truncatingIfNeeded: length).bigEndian
        bytes.withUnsafeMutableBytes {
            $0.storeBytes(of: bigEndian, toByteOffset: start, as: UInt32.self)
        }
    }

    /// A REQUEST of `stream`.
    package static func append(
        _ request: Request, flags: UInt8 = 0, stream: StreamID, to bytes: inout [UInt8]
    ) {
        Self.append(
            .request, flags: flags, code: request.method.rawValue, stream: stream, to: &bytes
        ) { request.encode(into: &$0) }
    }

    /// A RESPONSE with status OK.
    package static func append(_ reply: Reply, stream: StreamID, to bytes: inout [UInt8]) {
        Self.append(.response, stream: stream, to: &bytes) { reply.encode(into: &$0) }
    }

    /// A RESPONSE, END or GOAWAY that carries `failure` and its code.
    package static func append(
        _ failure: Failure, as type: FrameType, stream: StreamID = .connection,
        to bytes: inout [UInt8]
    ) {
        Self.append(type, code: failure.code.rawValue, stream: stream, to: &bytes) {
            FailureMessage.encode(failure, into: &$0)
        }
    }

    /// The start of a DATA frame (or of the RESPONSE to a fetch): frame header and the delivery's
    /// own fields. `eventsBytes` bytes of records must follow; they count in the frame's length.
    package static func append(
        _ delivery: DeliveryHeader, eventsBytes: Int, as type: FrameType = .data,
        stream: StreamID, to bytes: inout [UInt8]
    ) {
        let length = delivery.encodedBytes + eventsBytes
        FrameHeader(length: UInt32(truncatingIfNeeded: length), type: type, stream: stream)
            .encode(into: &bytes)
        delivery.encode(into: &bytes)
    }
}
