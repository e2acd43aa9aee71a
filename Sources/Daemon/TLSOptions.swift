import Net

/// What the command line says of TLS.
struct TLSOptions: Equatable {
    var certificate = ""
    var key = ""
    var clientAuthorities = ""
    var revoked = ""
    var isClientCertificateOptional = false
    var versionMin = "1.3"

    /// Nil when TLS is not wanted.
    var files: TLSFiles? {
        guard !self.certificate.isEmpty, !self.key.isEmpty else { return nil }
        return TLSFiles(
            certificate: self.certificate, key: self.key,
            clientAuthorities: self.clientAuthorities.isEmpty ? nil : self.clientAuthorities,
            revoked: self.revoked.isEmpty ? nil : self.revoked,
            isClientCertificateOptional: self.isClientCertificateOptional,
            allowsVersion12: self.versionMin == "1.2")
    }

    /// What is wrong with how they go together, or nil.
    var problem: String? {
        if self.certificate.isEmpty != self.key.isEmpty {
            return "--tls-certificate and --tls-key go together; give both"
        }
        if !self.clientAuthorities.isEmpty, self.certificate.isEmpty {
            return "--tls-client-ca asks for --tls-certificate and --tls-key"
        }
        if self.clientAuthorities.isEmpty,
            !self.revoked.isEmpty || self.isClientCertificateOptional
        {
            return "--tls-crl and --tls-client-optional say something of the clients of "
                + "--tls-client-ca; give that, too"
        }
        return nil
    }
}

extension Flag {
    static let tls: [Flag] = [
        file(
            "tls-certificate", \.certificate,
            "our certificate for tls: addresses and those that lead to its root (PEM)"),
        file("tls-key", \.key, "the private key of that certificate (PEM, without passphrase)"),
        file(
            "tls-client-ca", \.clientAuthorities,
            "ask clients of tls: addresses for a certificate that one of these authorities has signed "
                + "for client authentication"),
        file(
            "tls-crl", \.revoked,
            "certificates that are revoked: a list of each of those authorities"),
        Flag(
            "tls-client-optional",
            "let clients without a certificate in, to show who they are in another way",
            .set { $0.tls.isClientCertificateOptional = true }),
        Flag(
            "tls-min", "oldest version of TLS, 1.3 or 1.2 (default 1.3)",
            .take(value: "VERSION") { options, value in
                options.tls.versionMin = value
                return ["1.2", "1.3"].contains(value) ? nil : "expected 1.3 or 1.2"
            }),
    ]

    private static func file(
        _ name: String, _ path: any WritableKeyPath<TLSOptions, String> & Sendable, _ help: String
    ) -> Flag {
        Flag(
            name, help,
            .take(value: "FILE") { options, value in
                options.tls[keyPath: path] = value
                return value.isEmpty ? "expected a file" : nil
            })
    }
}
