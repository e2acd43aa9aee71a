import CLibUV
import Core

// TLS between the socket and the handler. Received bytes are unsealed in one go; bytes to be sent wait unsealed and are
// sealed a part at a time, when the kernel has taken the part before: what is held is bounded as it is without TLS.
//
// A handshake costs a thousand times what a frame costs, and anybody may begin one. So steps of handshakes wait for their
// turn (`EventLoop.shakeHands`), and a connection whose step waits is not read.

extension Connection {
    /// Sealed at a time: what one writev takes.
    private static let sealedBytesMax = 256 << 10
    /// The first byte of a TLS record that holds a handshake. Source: RFC 8446, section 5.1.
    private static let handshakeRecord: UInt8 = 22
    /// What a peer can make us answer by itself (alerts, new keys) and does not read; a few records.
    private static let controlBytesMax = 64 << 10

    // MARK: Handshake

    func receivedSealed(_ bytes: UnsafeRawBufferPointer) {
        guard let tls = self.tls else { return }
        switch tls.state {
        case .shakingHands:
            if !tls.hasBegun, bytes[0] != Self.handshakeRecord {
                return self.refuse(plain: bytes)
            }
            tls.hasBegun = true
            tls.held += bytes
            self.readOrNot()
            self.loop.shakeHandsSoon(self)
        case .open:
            tls.lend(bytes)
            self.unseal(tls)
        case .over:
            break
        }
    }

    /// It is this connection's turn.
    func shakeHands() {
        guard self.state == .open, let tls = self.tls, tls.state == .shakingHands else { return }
        var bytes: [UInt8] = []
        swap(&bytes, &tls.held)
        bytes.withUnsafeBytes { bytes in
            switch tls.shakeHands(bytes) {
            case .needsMore:
                break
            case .done:
                self.learn(from: tls)
                self.unseal(tls)
            case .ended:
                self.close(reason: "end of stream")
            case .failed(let reason):
                self.handler?.handshakeFailed(reason, on: self)
                self.end(tls, reason)
            }
        }
        self.flushAtTurnEnd()
        self.readOrNot()
    }

    private func learn(from tls: TLSLink) {
        self.peerIdentity.isEncrypted = true
        if let names = tls.certificateNames() {
            self.peerIdentity.evidence = .certificate(names: names)
        }
    }

    /// Somebody who does not speak TLS. The handler may answer, unsealed.
    private func refuse(plain bytes: UnsafeRawBufferPointer) {
        self.tls = nil
        nonisolated(unsafe) let bytes = bytes
        self.handler?.spokeWithoutTLS(bytes, on: self)
        self.closeAfterFlush(reason: "no TLS hello")
    }

    // MARK: Receiving

    /// Hands on what is in the bytes that were lent.
    private func unseal(_ tls: TLSLink) {
        defer { tls.lend(UnsafeRawBufferPointer(start: nil, count: 0)) }
        while self.state == .open {
            let buffer = self.loop.unsealedBuffer
            let (count, outcome) = tls.open(into: buffer)
            if count > 0 {
                // As with the read buffer.
                nonisolated(unsafe) let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                self.handler?.received(bytes, on: self)
            }
            // Whatever else it sends and is sent: these are bytes that nobody else counts.
            if tls.controlBytes > Self.controlBytesMax {
                return self.close(reason: "it asks for TLS' own answers and does not read them")
            }
            switch outcome {
            case .done:
                continue
            case .needsMore:
                return
            case .ended:
                return self.close(reason: "end of stream")
            case .failed(let reason):
                return self.end(tls, reason)
            }
        }
    }

    // MARK: Sending

    /// Seals the next part of what is to be sent, when the kernel has all before it. false: that
    /// failed, and the connection closes.
    func seal() -> Bool {
        guard let tls = self.tls, tls.state == .open, self.queue.isEmpty, self.writing == 0 else {
            return true
        }
        tls.takenBytes = tls.sealedBytes
        let record = self.loop.recordBuffer
        var left = Self.sealedBytesMax
        while left > 0, !tls.pending.isEmpty {
            let (buffers, bytes) = tls.pending.peek(
                into: self.loop.writeBuffers, bytesMax: record.count)
            var end = 0
            for buffer in UnsafeBufferPointer(start: self.loop.writeBuffers, count: buffers) {
                guard let base = buffer.base, let target = record.baseAddress else { continue }
                (target + end).copyMemory(from: base, byteCount: buffer.len)
                end += buffer.len
            }
            let outcome = tls.seal(UnsafeRawBufferPointer(rebasing: record[..<bytes]))
            guard outcome == .done else {
                self.close(reason: "TLS: cannot seal what is to be sent: \(outcome)")
                return false
            }
            tls.pending.remove(bytes, spare: &self.loop.spareBuffers)
            tls.sealedBytes &+= UInt64(bytes)
            left -= bytes
        }
        return true
    }

    /// Bytes of the network that OpenSSL has made.
    func emitSealed(_ bytes: UnsafeRawBufferPointer) {
        guard self.state == .open || self.state == .flushing, !bytes.isEmpty else { return }
        if self.isDrained { self.progress = self.loop.now() }
        if self.queue.isEmpty { self.tls?.controlBytes = 0 }
        self.queue.append(copying: bytes, spare: &self.loop.spareBuffers)
        self.flushAtTurnEnd()
    }

    /// Broken TLS: the alert that says so is still sent.
    private func end(_ tls: TLSLink, _ reason: String) {
        tls.pending.removeAll(spare: &self.loop.spareBuffers)
        self.closeAfterFlush(reason: "TLS: \(reason)")
    }
}
