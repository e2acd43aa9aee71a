import COpenSSL
import Foundation
import TestCertificates

/// A blocking TLS client around a `Client`. Used by one thread at a time.
final class TLSClient: Receiving, @unchecked Sendable {
    struct Problem: Error { let what: String }

    let client: Client
    private let ssl: OpaquePointer

    /// Connects and shakes hands.
    init(
        port: UInt16, authority: Authority, certificate: Certificate? = nil,
        receiveBytes: Int32? = nil
    ) throws {
        self.client = try Client(port: port, receiveBytes: receiveBytes)
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw Problem(what: "no context")
        }
        defer { SSL_CTX_free(context) }
        guard SSL_CTX_load_verify_file(context, authority.path) == 1 else {
            throw Problem(what: "no authority")
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        if let certificate {
            guard SSL_CTX_use_certificate_chain_file(context, certificate.path) == 1,
                SSL_CTX_use_PrivateKey_file(context, certificate.keyPath, SSL_FILETYPE_PEM) == 1
            else { throw Problem(what: "no certificate") }
        }
        guard let ssl = SSL_new(context) else { throw Problem(what: "no connection") }
        self.ssl = ssl
        SSL_set_fd(ssl, self.client.descriptor)
        SSL_set_connect_state(ssl)
        try self.check(SSL_do_handshake(ssl), "handshake")
    }

    /// Everything up to and with `bytes` is sent byte by byte, by a connection that is closed then.
    static func drip(
        _ bytes: [UInt8], to port: UInt16, certificate: Certificate
    ) throws {
        guard let context = SSL_CTX_new(TLS_client_method()), let ssl = SSL_new(context) else {
            throw Problem(what: "no connection")
        }
        defer {
            SSL_free(ssl)
            SSL_CTX_free(context)
        }
        SSL_use_certificate_file(ssl, certificate.path, SSL_FILETYPE_PEM)
        SSL_use_PrivateKey_file(ssl, certificate.keyPath, SSL_FILETYPE_PEM)
        let input = BIO_new(BIO_s_mem())
        let output = BIO_new(BIO_s_mem())
        SSL_set_bio(ssl, input, output)
        SSL_set_connect_state(ssl)
        let client = try Client(port: port)
        var on: Int32 = 1
        setsockopt(
            client.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on,
            socklen_t(MemoryLayout<Int32>.size))
        var isSent = false
        while !isSent {
            isSent = SSL_do_handshake(ssl) == 1
            if isSent { SSL_write(ssl, bytes, Int32(bytes.count)) }
            var byte: UInt8 = 0
            while BIO_read(output, &byte, 1) == 1 { try client.send([byte]) }
            if isSent { break }
            let answer = try client.receiveSome()
            guard !answer.isEmpty else { throw Problem(what: "the server closed") }
            BIO_write(input, answer, Int32(answer.count))
        }
        client.finishSending()
        // The server closes when it has read all.
        while try !client.receiveSome().isEmpty {}
        client.close()
    }

    deinit { SSL_free(self.ssl) }

    func send(_ bytes: [UInt8]) throws {
        guard !bytes.isEmpty else { return }
        try self.check(SSL_write(self.ssl, bytes, Int32(bytes.count)), "write")
    }

    /// Empty at the end that the peer has announced.
    func receiveSome(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = SSL_read(self.ssl, &bytes, Int32(count))
        if got <= 0, SSL_get_error(self.ssl, got) == SSL_ERROR_ZERO_RETURN { return [] }
        try self.check(got, "read")
        return Array(bytes.prefix(Int(got)))
    }

    /// The common name that the server has shown.
    var serverName: String {
        guard let certificate = SSL_get1_peer_certificate(self.ssl) else { return "" }
        defer { X509_free(certificate) }
        var name = [CChar](repeating: 0, count: 64)
        X509_NAME_get_text_by_NID(
            X509_get_subject_name(certificate), NID_commonName, &name, Int32(name.count))
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Asks for new keys, `count` times, sends these bytes after some of them, and reads none of the answers.
    func updateKeys(_ count: Int, between bytes: [UInt8] = []) {
        for number in 0..<count {
            guard SSL_key_update(self.ssl, SSL_KEY_UPDATE_REQUESTED) == 1,
                SSL_do_handshake(self.ssl) == 1
            else { return }
            guard number % 50 == 0, !bytes.isEmpty else { continue }
            if SSL_write(self.ssl, bytes, Int32(bytes.count)) <= 0 { return }
        }
    }

    func close() { self.client.close() }

    private func check(_ code: Int32, _ what: String) throws {
        guard code <= 0 else { return }
        let error = ERR_reason_error_string(ERR_peek_error()).map { String(cString: $0) }
        ERR_clear_error()
        throw Problem(what: "\(what): \(error ?? String(cString: strerror(errno)))")
    }
}
