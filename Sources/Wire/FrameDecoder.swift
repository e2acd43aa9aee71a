package import Core

// Bytes to frames.
//
// 1. A frame that lies wholly in the bytes that were just read is lent from there: no copy.
// 2. What is left over, at most one partial frame, is held; the next bytes complete it first.
// 3. A frame's length is checked as soon as its header is there. The buffer grows with bytes
//    received, never with bytes declared.
// 4. Consumed bytes are moved away when they are at least half of what is held, so each byte is
//    moved a bounded number of times however small the pieces are.

/// Cuts a stream of bytes into frames. Used by the server and by clients.
///
/// Two ways to feed it: `decode` lends frames straight from the bytes just read (the fast way);
/// `push` copies bytes and `next` takes one frame at a time. They can be mixed; order is kept.
///
/// A failure, its own or one thrown by `body`, is final: every later call throws it again, and the
/// connection must be closed.
package struct FrameDecoder {
    /// What `decode` is told by its body.
    package enum Step: Hashable, Sendable {
        case next
        /// Keep the bytes that follow until the next call.
        case pause
    }

    private enum Found {
        case partial(missing: Int)
        case frame(FrameHeader)
        case ignorable(length: Int)
    }

    /// The largest payload allowed from the next frame on. To change it between two frames (after
    /// the hello), let the body return `pause`, set it, and go on.
    package var payloadBytesMax: Int
    private var held: [UInt8] = []
    /// Bytes at the start of `held` that are consumed.
    private var consumed = 0
    private var failure: Failure?

    /// A buffer that is larger than this is given back when it is empty: one large frame must not
    /// cost its connection memory for ever.
    private static let idleBytesMax = 64 << 10

    package init(payloadBytesMax: Int = Limits.helloFrameBytesMax) {
        self.payloadBytesMax = payloadBytesMax
    }

    /// Bytes received and not yet consumed.
    package var heldBytes: Int { self.held.count - self.consumed }

    /// Calls `body` for each complete frame in the held bytes and in `bytes`, in order. The payload
    /// is lent for the call only, and `body` must not touch the decoder. Incomplete bytes are kept.
    ///
    /// Returns `pause` when `body` did, with everything after that frame kept: call again, with no
    /// bytes if there are none, to go on; `next` when more bytes are needed.
    /// Throws `frameTooLarge`, `unimplemented` (an unknown type), or what `body` throws.
    package mutating func decode(
        _ bytes: UnsafeRawBufferPointer,
        _ body: (FrameHeader, UnsafeRawBufferPointer) throws(Failure) -> Step
    ) throws(Failure) -> Step {
        try self.guardUsable()
        do throws(Failure) {
            var offset = 0
            if self.heldBytes > 0 {
                let step = try self.decodeHeld(completedBy: bytes, from: &offset, body)
                if step == .pause {
                    self.push(bytes, from: offset)
                    return .pause
                }
            }
            return try self.decodeDirectly(bytes, from: offset, body)
        } catch {
            throw self.end(error)
        }
    }

    /// Keeps a copy of `bytes` for `next`.
    package mutating func push(_ bytes: UnsafeRawBufferPointer) {
        guard self.failure == nil else { return }
        if self.consumed > 0, self.consumed * 2 >= self.held.count {
            self.held.removeFirst(self.consumed)
            self.consumed = 0
        }
        self.held.append(contentsOf: bytes)
    }

    /// Takes one frame from what was pushed, or returns false when it is not complete yet. The
    /// payload is lent for the call only. Throws as `decode` does.
    package mutating func next(
        _ body: (FrameHeader, UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) -> Bool {
        try self.guardUsable()
        do throws(Failure) {
            while self.heldBytes > 0 {
                switch try self.lookAtHeld() {
                case .partial:
                    return false
                case .ignorable(let length):
                    self.consume(FrameHeader.bytesCount + length)
                case .frame(let header):
                    try self.withHeldPayload(header) { payload throws(Failure) in
                        try body(header, payload)
                    }
                    self.consume(FrameHeader.bytesCount + Int(header.length))
                    return true
                }
            }
            return false
        } catch {
            throw self.end(error)
        }
    }

    /// Decodes held frames, completing them with no more of `bytes` than they need, so that the
    /// frames after them can be lent from `bytes`.
    private mutating func decodeHeld(
        completedBy bytes: UnsafeRawBufferPointer, from offset: inout Int,
        _ body: (FrameHeader, UnsafeRawBufferPointer) throws(Failure) -> Step
    ) throws(Failure) -> Step {
        while self.heldBytes > 0 {
            switch try self.lookAtHeld() {
            case .partial(let missing):
                if offset == bytes.count { return .next }
                let end = offset + min(missing, bytes.count - offset)
                self.push(UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
                offset = end
            case .ignorable(let length):
                self.consume(FrameHeader.bytesCount + length)
            case .frame(let header):
                let step = try self.withHeldPayload(header) { payload throws(Failure) in
                    try body(header, payload)
                }
                self.consume(FrameHeader.bytesCount + Int(header.length))
                if step == .pause { return .pause }
            }
        }
        return .next
    }

    private mutating func decodeDirectly(
        _ bytes: UnsafeRawBufferPointer, from start: Int,
        _ body: (FrameHeader, UnsafeRawBufferPointer) throws(Failure) -> Step
    ) throws(Failure) -> Step {
        var offset = start
        while offset < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            switch try Self.look(rest, payloadBytesMax: self.payloadBytesMax) {
            case .partial:
                self.push(rest)
                return .next
            case .ignorable(let length):
                offset += FrameHeader.bytesCount + length
            case .frame(let header):
                let end = FrameHeader.bytesCount + Int(header.length)
                let payload = rest[FrameHeader.bytesCount..<end]
                offset += end
                if try body(header, UnsafeRawBufferPointer(rebasing: payload)) == .pause {
                    self.push(bytes, from: offset)
                    return .pause
                }
            }
        }
        return .next
    }

    private static func look(
        _ bytes: UnsafeRawBufferPointer, payloadBytesMax: Int
    ) throws(Failure) -> Found {
        guard bytes.count >= FrameHeader.bytesCount else {
            return .partial(missing: FrameHeader.bytesCount - bytes.count)
        }
        let length = Int(FrameHeader.rawLength(bytes))
        guard length <= payloadBytesMax else {
            throw Self.tooLarge(length, payloadBytesMax: payloadBytesMax)
        }
        let type = FrameHeader.rawType(bytes)
        let isIgnorable =
            type & FrameType.ignorableBit != 0 && FrameType(rawValue: type) == nil
        // An unknown type is refused before its payload is waited for.
        let header = isIgnorable ? nil : try FrameHeader.decode(bytes)
        let missing = length - (bytes.count - FrameHeader.bytesCount)
        if missing > 0 { return .partial(missing: missing) }
        return header.map { .frame($0) } ?? .ignorable(length: length)
    }

    private static func tooLarge(_ length: Int, payloadBytesMax: Int) -> Failure {
        let advice =
            payloadBytesMax <= Limits.helloFrameBytesMax
            ? "Before the hello frames are small; send the hello first"
            : "Send fewer events at a time, or start the server with a larger --frame-bytes"
        return Failure(
            .frameTooLarge,
            "a frame has \(length) bytes of payload; expected at most \(payloadBytesMax). "
                + advice)
    }

    private func lookAtHeld() throws(Failure) -> Found {
        let max = self.payloadBytesMax
        let consumed = self.consumed
        return try self.held.span.withUnsafeBytes { held throws(Failure) in
            try Self.look(
                UnsafeRawBufferPointer(rebasing: held[consumed...]), payloadBytesMax: max)
        }
    }

    private func withHeldPayload<Result>(
        _ header: FrameHeader, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let start = self.consumed + FrameHeader.bytesCount
        return try self.held.span.withUnsafeBytes { held throws(Failure) in
            let payload = held[start..<start + Int(header.length)]
            return try body(UnsafeRawBufferPointer(rebasing: payload))
        }
    }

    private mutating func push(_ bytes: UnsafeRawBufferPointer, from offset: Int) {
        self.push(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
    }

    private mutating func consume(_ count: Int) {
        self.consumed += count
        guard self.consumed == self.held.count else { return }
        self.consumed = 0
        self.held.removeAll(keepingCapacity: self.held.capacity <= Self.idleBytesMax)
    }

    private func guardUsable() throws(Failure) {
        if let failure = self.failure { throw failure }
    }

    private mutating func end(_ failure: Failure) -> Failure {
        self.failure = failure
        self.held = []
        self.consumed = 0
        return failure
    }
}
