import COpenSSL
import Core

/// One connection's TLS: bytes of the network on one side, bytes of the peer on the other. Knows
/// no socket: what is to be sent is handed to `Connection`, what came is lent by it.
///
/// For the loop's thread.
final class TLSLink {
    enum Outcome: Equatable {
        /// Nothing more can be done with the bytes that have come.
        case needsMore
        case done
        /// The peer has said that nothing follows.
        case ended
        case failed(String)
    }

    enum State: Equatable {
        /// → open, failed
        case shakingHands
        /// → failed
        case open
        /// An error, or our own farewell: nothing can be sent any more.
        case over
    }

    private(set) var state = State.shakingHands
    /// The first bytes came, and they looked like TLS.
    var hasBegun = false
    /// Bytes of the network that have come and were not looked at: of a peer whose handshake waits
    /// for its turn.
    var held: [UInt8] = []
    /// What is to be sent, before it is sealed.
    var pending = WriteQueue()
    /// Of that, how much was sealed, and how much the kernel had taken of it when it last had all.
    var sealedBytes: UInt64 = 0
    var takenBytes: UInt64 = 0
    /// What OpenSSL has made for the network by itself (its part of the handshake, alerts, new keys) since the kernel
    /// last had all.
    var controlBytes = 0
    private var isSealing = false

    private let ssl: OpaquePointer
    /// Takes bytes for the network.
    private let emit: (UnsafeRawBufferPointer) -> Void
    private var incoming = UnsafeRawBufferPointer(start: nil, count: 0)

    /// nil when there is no memory.
    init?(_ context: TLSContext, emit: @escaping (UnsafeRawBufferPointer) -> Void) {
        guard let method = TLSLink.method, let ssl = SSL_new(context.context) else { return nil }
        guard let bio = BIO_new(method) else {
            SSL_free(ssl)
            return nil
        }
        self.ssl = ssl
        self.emit = emit
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
        // Both directions; the link goes before it can be called in vain.
        SSL_set_bio(ssl, bio, bio)
        SSL_set_accept_state(ssl)
    }

    deinit { SSL_free(self.ssl) }

    // MARK: Handshake

    /// One step with what has come. The whole of `bytes` is used, whatever the outcome; what the
    /// peer has sent behind its part of the handshake is got by `open`.
    func shakeHands(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        self.incoming = bytes
        ERR_clear_error()
        let code = SSL_do_handshake(self.ssl)
        guard code != 1 else {
            self.state = .open
            return .done
        }
        return self.outcome(code)
    }

    /// The names in the certificate that was checked in the handshake; nil when there was none.
    func certificateNames() -> [String]? {
        guard let certificate = SSL_get1_peer_certificate(self.ssl) else { return nil }
        defer { X509_free(certificate) }
        var names: [String] = []
        withUnsafeMutablePointer(to: &names) { names in
            dormouse_certificate_names(certificate, names) { context, kind, bytes, count in
                guard let names = context?.assumingMemoryBound(to: [String].self),
                    names.pointee.count < Limits.certificateNamesMax,
                    let text = printable(bytes, count)
                else { return }
                names.pointee.append((kind == DORMOUSE_NAME_URI ? "URI:" : "DNS:") + text)
            }
        }
        return names
    }

    // MARK: Bytes

    /// Lends network bytes to the calls of `open` that follow; they must use them up before the
    /// bytes go.
    func lend(_ bytes: UnsafeRawBufferPointer) { self.incoming = bytes }

    /// What is left of the lent bytes.
    var lentBytes: Int { self.incoming.count }

    /// Unseals as much as there is and fits, and says how much that is.
    func open(into target: UnsafeMutableRawBufferPointer) -> (bytes: Int, outcome: Outcome) {
        var total = 0
        while total < target.count {
            var count = 0
            ERR_clear_error()
            let code = SSL_read_ex(
                self.ssl, target.baseAddress.map { $0 + total }, target.count - total, &count)
            guard code == 1 else { return (total, self.outcome(code)) }
            total += count
        }
        return (total, .done)
    }

    /// Seals; the result goes to `emit`.
    func seal(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        self.isSealing = true
        defer { self.isSealing = false }
        var rest = bytes
        while !rest.isEmpty {
            var count = 0
            ERR_clear_error()
            let code = SSL_write_ex(self.ssl, rest.baseAddress, rest.count, &count)
            guard code == 1, count > 0 else { return self.outcome(code) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return .done
    }

    /// Says that nothing follows. false: that was said, or cannot be.
    func sayGoodbye() -> Bool {
        guard self.state == .open else { return false }
        self.state = .over
        ERR_clear_error()
        _ = SSL_shutdown(self.ssl)
        return true
    }

    private func outcome(_ code: Int32) -> Outcome {
        switch SSL_get_error(self.ssl, code) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsMore
        case SSL_ERROR_ZERO_RETURN: return .ended
        case _:
            self.state = .over
            let verified = SSL_get_verify_result(self.ssl)
            let reason = tlsError() ?? "the peer broke off"
            guard verified != Int(X509_V_OK) else { return .failed(reason) }
            return .failed(
                "its certificate is refused: "
                    + (X509_verify_cert_error_string(verified).map { String(cString: $0) }
                        ?? reason))
        }
    }

    // MARK: OpenSSL's side

    fileprivate func give(to target: UnsafeMutableRawPointer, _ most: Int) -> Int {
        let count = min(most, self.incoming.count)
        guard count > 0, let base = self.incoming.baseAddress else { return 0 }
        target.copyMemory(from: base, byteCount: count)
        self.incoming = UnsafeRawBufferPointer(rebasing: self.incoming[count...])
        return count
    }

    fileprivate func take(_ bytes: UnsafeRawBufferPointer) {
        self.emit(bytes)
        if !self.isSealing { self.controlBytes += bytes.count }
    }

    /// Made once and never freed. nil when there was no memory.
    ///
    /// `nonisolated(unsafe)`: nothing of it is changed once it is made.
    nonisolated(unsafe) private static let method: OpaquePointer? = {
        guard let method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "dormoused") else { return nil }
        // Called from inside SSL_… functions, so on the loop's thread.
        BIO_meth_set_read(method) { bio, target, most in
            BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
            guard let link = link(of: bio), let target, most > 0 else { return -1 }
            let count = link.give(to: UnsafeMutableRawPointer(target), Int(most))
            guard count > 0 else {
                BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
                return -1
            }
            return Int32(count)
        }
        BIO_meth_set_write(method) { bio, bytes, count in
            BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
            guard let link = link(of: bio), count >= 0 else { return -1 }
            link.take(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
            return count
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in
            // OpenSSL insists on being able to flush; there is nothing to flush.
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return method
    }()
}

private func link(of bio: OpaquePointer?) -> TLSLink? {
    BIO_get_data(bio).map { Unmanaged<TLSLink>.fromOpaque($0).takeUnretainedValue() }
}

/// Text that can neither end early (a 0 in it) nor look like another (not ASCII).
private func printable(_ bytes: UnsafePointer<UInt8>?, _ count: Int32) -> String? {
    guard count > 0, Int(count) <= Limits.textBytesMax else { return nil }
    let bytes = UnsafeBufferPointer(start: bytes, count: Int(count))
    guard bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
}
