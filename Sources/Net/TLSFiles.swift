/// What TLS is set up from. All files are PEM.
package struct TLSFiles: Hashable, Sendable {
    /// Our certificate, followed by those that lead to its root.
    package var certificate: String
    /// Its private key, without a passphrase.
    package var key: String
    /// Certificates of the authorities that sign clients; nil: clients are not asked for one.
    package var clientAuthorities: String?
    /// Lists of revoked certificates, one of every authority in `clientAuthorities`.
    package var revoked: String?
    /// A client without a certificate is let in, to show who it is in another way. One with a bad
    /// certificate is not.
    package var isClientCertificateOptional: Bool
    /// Besides TLS 1.3.
    package var allowsVersion12: Bool

    package init(
        certificate: String, key: String, clientAuthorities: String? = nil, revoked: String? = nil,
        isClientCertificateOptional: Bool = false, allowsVersion12: Bool = false
    ) {
        self.certificate = certificate
        self.key = key
        self.clientAuthorities = clientAuthorities
        self.revoked = revoked
        self.isClientCertificateOptional = isClientCertificateOptional
        self.allowsVersion12 = allowsVersion12
    }
}
