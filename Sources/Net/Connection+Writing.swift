package import Core
import CLibUV

extension Connection {
    /// What one uv_write may hold: libuv says only when all of it is done.
    private static let writeBytesMax = 256 << 10
    /// Full writevs of one turn, before others get theirs.
    private static let writesPerTurnMax = 4

    /// Bytes that the kernel has not taken yet.
    package var queuedBytes: Int {
        guard let stream = self.stream else { return 0 }
        let bytes = self.queue.bytes + (self.tls?.pending.bytes ?? 0)
        guard self.writing > 0 else { return bytes }
        return bytes - self.writing + uv_stream_get_write_queue_size(stream)
    }

    /// Bytes that the kernel has taken since the connection was made. What was dropped when the
    /// connection closed is not among them.
    /// With TLS they count when the whole part that was sealed with them has been taken.
    package var takenBytes: UInt64 {
        if let tls = self.tls { return self.queue.isEmpty ? tls.sealedBytes : tls.takenBytes }
        guard self.writing > 0, let stream = self.stream else { return self.written }
        return self.written + UInt64(self.writing - uv_stream_get_write_queue_size(stream))
    }

    /// When the kernel last took bytes, or the queue last stopped being empty, whichever is later;
    /// exact to the time between two looks. With `queuedBytes > 0`, the time since then is how long
    /// the peer has been taking nothing.
    package var lastWriteProgress: Instant {
        self.lookForProgress()
        return self.progress
    }

    /// Queues a copy of `bytes`. Ignored once the connection is closing.
    package func send(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { self.send(copying: $0) }
    }

    /// Queues a copy of `bytes`. Ignored once the connection is closing.
    package func send(copying bytes: UnsafeRawBufferPointer) {
        guard self.state == .open, !bytes.isEmpty else { return }
        self.willQueue()
        if let tls = self.tls {
            tls.pending.append(copying: bytes, spare: &self.loop.spareBuffers)
        } else {
            self.queue.append(copying: bytes, spare: &self.loop.spareBuffers)
        }
        self.didQueue()
    }

    /// Queues a part of `block` without copying it, unless it is very small. Ignored once the
    /// connection is closing.
    package func send(_ block: ByteBlock, _ range: Range<Int>) {
        guard self.state == .open, !range.isEmpty else { return }
        precondition(range.lowerBound >= 0 && range.upperBound <= block.count)
        self.willQueue()
        if let tls = self.tls {
            tls.pending.append(block, range, spare: &self.loop.spareBuffers)
        } else {
            self.queue.append(block, range, spare: &self.loop.spareBuffers)
        }
        self.didQueue()
    }

    private func willQueue() {
        if self.isDrained { self.progress = self.loop.now() }
    }

    /// Nothing waits to be sent.
    var isDrained: Bool { self.queue.isEmpty && self.tls?.pending.isEmpty != false }

    private func didQueue() {
        if self.queue.bytes + (self.tls?.pending.bytes ?? 0) > self.lowWaterBytes {
            self.wasAboveLowWater = true
        }
        self.flushAtTurnEnd()
    }

    func flushAtTurnEnd() {
        guard !self.isToFlush else { return }
        self.isToFlush = true
        self.loop.flushAtTurnEnd(self)
    }

    /// The end of the loop's turn.
    func flush() {
        self.isToFlush = false
        guard self.writing == 0, self.state == .open || self.state == .flushing else { return }
        guard self.writeNow(), self.queue.isEmpty || self.writeLater() else { return }
        if self.queue.isEmpty, let tls = self.tls, tls.state == .open {
            // Others have their turn before the next part; the farewell comes last.
            if !tls.pending.isEmpty || self.state == .flushing && tls.sayGoodbye() {
                self.flushAtTurnEnd()
            }
        }
        if self.state == .flushing && self.isDrained && !self.isToFlush {
            self.shutDown()
        } else {
            self.tellDrained()
        }
    }

    /// Gives the kernel what it takes at once. False when that failed and the connection closes.
    private func writeNow() -> Bool {
        guard let stream = self.stream else { return false }
        for _ in 0..<Self.writesPerTurnMax {
            guard self.seal() else { return false }
            if self.queue.isEmpty { return true }
            let (buffers, bytes) = self.queue.peek(into: self.loop.writeBuffers, bytesMax: .max)
            let written = uv_try_write(stream, self.loop.writeBuffers, UInt32(buffers))
            if written == UV_EAGAIN.rawValue { return true }
            guard written >= 0 else {
                self.fail(written)
                return false
            }
            self.wrote(Int(written))
            if Int(written) < bytes { return true }
        }
        return true
    }

    /// Lets libuv write the next part as soon as the socket takes it. False when that failed and
    /// the connection closes.
    private func writeLater() -> Bool {
        guard let stream = self.stream else { return false }
        let (buffers, bytes) = self.queue.peek(
            into: self.loop.writeBuffers, bytesMax: Self.writeBytesMax)
        let request = UnsafeMutablePointer<uv_write_t>.allocate(capacity: 1)
        let code = uv_write(request, stream, self.loop.writeBuffers, UInt32(buffers)) {
            request, status in
            // On the loop's thread, and before the callback of a uv_close.
            guard let request else { return }
            let connection = adopted(Connection.self, request.pointee.handle.pointee.data)
            request.deallocate()
            connection?.finished(status)
        }
        guard code == 0 else {
            request.deallocate()
            self.fail(code)
            return false
        }
        self.writing = bytes
        self.writingLeft = bytes
        self.lookForProgress()
        return true
    }

    private func finished(_ status: Int32) {
        let count = self.writing
        self.writing = 0
        self.writingLeft = 0
        guard self.state == .open || self.state == .flushing else { return }
        guard status == 0 else {
            self.fail(status)
            return
        }
        self.wrote(count)
        self.flushAtTurnEnd()
    }

    private func wrote(_ count: Int) {
        self.queue.remove(count, spare: &self.loop.spareBuffers)
        self.written &+= UInt64(count)
        self.progress = self.loop.now()
    }

    private func lookForProgress() {
        guard self.writing > 0, let stream = self.stream else { return }
        let left = uv_stream_get_write_queue_size(stream)
        guard left < self.writingLeft else { return }
        self.writingLeft = left
        self.progress = self.loop.now()
    }

    private func tellDrained() {
        // A connection that is being closed is told of its end only.
        guard self.state == .open, self.wasAboveLowWater, self.queuedBytes <= self.lowWaterBytes
        else { return }
        self.wasAboveLowWater = false
        self.handler?.drained(self)
    }
}
