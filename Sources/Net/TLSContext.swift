package import Core
import COpenSSL

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Certificate, key, authorities and rules of TLS, as they were when their files were read. Never
/// changed: new files make a new one, and connections keep the one that they began with.
///
/// `@unchecked Sendable`: OpenSSL counts references to the context under a lock of its own, and
/// nothing of it is changed after `init`.
package final class TLSContext: @unchecked Sendable {
    /// What both sides say they speak. A client that names protocols and not this one is refused:
    /// it meant another server. Source: protocol.md.
    static let applicationProtocol = Array("dormoused/1".utf8)

    let context: OpaquePointer
    /// When our certificate is valid.
    package let validity: Validity?
    /// When the lists of revoked certificates are: outside of that, every client's certificate is refused.
    package let revokedValidity: Validity?
    /// Users other than the owner and the group may read the key.
    package let isKeyExposed: Bool

    /// Reads the files. The failure says which one is bad, and how. May be called on any thread.
    package init(_ files: TLSFiles) throws(Failure) {
        self.context = try Self.make(files)
        self.validity = Self.validity(of: self.context)
        self.revokedValidity = files.revoked.flatMap { Self.validity(ofLists: $0) }
        self.isKeyExposed = Self.isExposed(files.key)
    }

    deinit { SSL_CTX_free(self.context) }

    // MARK: Files

    private static func make(_ files: TLSFiles) throws(Failure) -> OpaquePointer {
        ERR_clear_error()
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw Self.failure("TLS cannot be set up")
        }
        do throws(Failure) {
            guard
                dormouse_tls_harden(
                    context, files.allowsVersion12 ? TLS1_2_VERSION : TLS1_3_VERSION,
                    Limits.certificateBytesMax) == 1
            else { throw Self.failure("TLS cannot be set up") }
            try Self.loadOwn(files, into: context)
            if let path = files.clientAuthorities {
                try Self.loadAuthorities(path, revoked: files.revoked, into: context)
                let isOptional = files.isClientCertificateOptional
                SSL_CTX_set_verify(
                    context,
                    SSL_VERIFY_PEER | (isOptional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT),
                    checkUsage)
            }
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        SSL_CTX_set_alpn_select_cb(context, chooseProtocol, nil)
        return context
    }

    private static func loadOwn(_ files: TLSFiles, into context: OpaquePointer) throws(Failure) {
        // A key with a passphrase would otherwise be asked for at the terminal.
        SSL_CTX_set_default_passwd_cb(context) { _, _, _, _ in 0 }
        guard SSL_CTX_use_certificate_chain_file(context, files.certificate) == 1 else {
            throw Self.failure("the certificate \(files.certificate) cannot be used")
        }
        // This also sees whether it is that certificate's.
        guard SSL_CTX_use_PrivateKey_file(context, files.key, SSL_FILETYPE_PEM) == 1 else {
            throw Self.failure(
                "the key \(files.key) cannot be used with the certificate \(files.certificate)")
        }
    }

    private static func loadAuthorities(
        _ path: String, revoked: String?, into context: OpaquePointer
    ) throws(Failure) {
        guard SSL_CTX_load_verify_file(context, path) == 1,
            // Tells clients which of their certificates to show.
            let names = SSL_load_client_CA_file(path)
        else { throw Self.failure("the client authorities \(path) cannot be used") }
        SSL_CTX_set_client_CA_list(context, names)
        guard let revoked else { return }
        guard let store = SSL_CTX_get_cert_store(context),
            let lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file()),
            X509_load_crl_file(lookup, revoked, X509_FILETYPE_PEM) > 0
        else { throw Self.failure("the revocation list \(revoked) cannot be used") }
        // All: an authority may be revoked by the one above it.
        X509_STORE_set_flags(
            store, UInt(X509_V_FLAG_CRL_CHECK) | UInt(X509_V_FLAG_CRL_CHECK_ALL))
    }

    private static func validity(of context: OpaquePointer) -> Validity? {
        guard let certificate = SSL_CTX_get0_certificate(context),
            let start = Self.time(X509_get0_notBefore(certificate)),
            let end = Self.time(X509_get0_notAfter(certificate))
        else { return nil }
        return Validity(start: start, end: end)
    }

    /// What all lists in the file have in common. One without an end is good for ever.
    private static func validity(ofLists path: String) -> Validity? {
        guard let file = BIO_new_file(path, "r") else { return nil }
        // Behind the last one it complains that there is none.
        defer {
            BIO_free(file)
            ERR_clear_error()
        }
        var validity: Validity?
        while let list = PEM_read_bio_X509_CRL(file, nil, nil, nil) {
            defer { X509_CRL_free(list) }
            guard let start = Self.time(X509_CRL_get0_lastUpdate(list)),
                let end = Self.time(X509_CRL_get0_nextUpdate(list))
            else { continue }
            validity = Validity(
                start: max(start, validity?.start ?? start), end: min(end, validity?.end ?? end))
        }
        return validity
    }

    private static func time(_ time: UnsafePointer<ASN1_TIME>?) -> Timestamp? {
        var parts = tm()
        guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        let seconds = timegm(&parts)
        return seconds >= 0 ? Timestamp(rawValue: UInt64(seconds) * 1_000_000) : nil
    }

    private static func isExposed(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & 0o007 != 0
    }

    private static func failure(_ what: String) -> Failure {
        let reason = tlsError() ?? "OpenSSL gives no reason"
        return Failure(
            .invalidArgument, "\(what): \(reason); expected a PEM file", underlying: reason)
    }
}

extension TLSContext {
    /// From when to when a certificate is good.
    package struct Validity: Hashable, Sendable {
        package enum State: Hashable, Sendable { case early, good, ending, ended }

        package let start: Timestamp
        package let end: Timestamp

        package init(start: Timestamp, end: Timestamp) {
            self.start = start
            self.end = end
        }

        /// Two weeks are time enough for people; what is made anew every day is late in its last fifth.
        private static let noticeMicroseconds: UInt64 = 14 * 86_400_000_000

        package func state(at now: Timestamp) -> State {
            if now < self.start { return .early }
            if now >= self.end { return .ended }
            let whole = self.end.rawValue - self.start.rawValue
            let left = self.end.rawValue - now.rawValue
            return left <= min(whole / 5, Self.noticeMicroseconds) ? .ending : .good
        }
    }
}

/// The TLS that new connections get. For the loop's thread.
package final class TLSSource {
    package var context: TLSContext

    package init(_ context: TLSContext) {
        self.context = context
    }
}

/// What OpenSSL has noted as this thread's first error, which it then forgets. Never text of a peer.
func tlsError() -> String? {
    let code = ERR_peek_error()
    guard code != 0 else { return nil }
    ERR_clear_error()
    // Errors of the system have no reason in OpenSSL's tables. Source: ERR_SYSTEM_ERROR, err.h.
    if code & 0x8000_0000 != 0 { return String(cString: strerror(Int32(code & 0x7FFF_FFFF))) }
    return ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
}

/// OpenSSL lets a certificate pass that does not say what it is for. Ours are for clients only when
/// they say so: a server's certificate of the same authority must not open a session.
private let checkUsage: @convention(c) (Int32, OpaquePointer?) -> Int32 = { isFine, store in
    guard isFine == 1, let store, X509_STORE_CTX_get_error_depth(store) == 0 else { return isFine }
    guard let certificate = X509_STORE_CTX_get_current_cert(store),
        X509_get_extension_flags(certificate) & UInt32(EXFLAG_XKUSAGE) != 0,
        X509_get_extended_key_usage(certificate) & UInt32(XKU_SSL_CLIENT) != 0
    else {
        X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE)
        return 0
    }
    return 1
}

/// Called only for clients that name protocols.
private let chooseProtocol:
    @convention(c) (
        OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
        UnsafeMutablePointer<UInt8>?, UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
    ) -> Int32 = { _, chosen, chosenCount, offered, offeredCount, _ in
        let ours = TLSContext.applicationProtocol
        // Names, each with its length in front.
        var names = UnsafeBufferPointer(start: offered, count: Int(offeredCount))[...]
        while let length = names.first.map(Int.init), names.count > length {
            let name = names.dropFirst().prefix(length)
            if name.elementsEqual(ours) {
                // What is chosen may lie among what was offered.
                chosen?.pointee = offered.map { $0 + name.startIndex }
                chosenCount?.pointee = UInt8(ours.count)
                return SSL_TLSEXT_ERR_OK
            }
            names = names.dropFirst(1 + length)
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }
