import Foundation

/// A certificate with its key, as files (PEM).
package struct Certificate: Sendable {
    package let path: String
    package let keyPath: String
}

/// A certification authority of the tests, in a folder of its own, by OpenSSL's own program.
package final class Authority: Sendable {
    package struct Trouble: Error, CustomStringConvertible {
        package let description: String
    }

    package enum Usage: String {
        case server = "extendedKeyUsage=serverAuth"
        case client = "extendedKeyUsage=clientAuth"
        /// Says nothing of what it is for.
        case unsaid = ""
    }

    /// Days from now on.
    package enum Validity {
        case days(Int)
        case expired
        /// Began long ago; less than a day is left.
        case ending
    }

    /// One for all tests; it goes when the process ends.
    package static let shared: Result<Authority, any Error> = Result {
        atexit { try? Authority.shared.get().remove() }
        return try Authority()
    }

    package let folder: String
    /// The authority's own certificate.
    package var path: String { "\(self.folder)/ca.pem" }
    /// What `writeRevoked` writes.
    package var revokedPath: String { "\(self.folder)/crl.pem" }

    package init() throws {
        self.folder =
            FileManager.default.temporaryDirectory.path
            + "/dormouse-ca-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(
            atPath: "\(self.folder)/new", withIntermediateDirectories: true)
        try self.write("", to: "index.txt")
        try self.write("01\n", to: "serial")
        try self.write("01\n", to: "crlnumber")
        try self.write(
            """
            [ca]
            default_ca = this
            [this]
            database = \(self.folder)/index.txt
            serial = \(self.folder)/serial
            crlnumber = \(self.folder)/crlnumber
            new_certs_dir = \(self.folder)/new
            certificate = \(self.folder)/ca.pem
            private_key = \(self.folder)/ca.key
            default_md = sha256
            default_days = 2
            default_crl_days = 2
            unique_subject = no
            policy = any
            [any]
            commonName = supplied
            [req]
            distinguished_name = name
            x509_extensions = root
            [name]
            [root]
            basicConstraints = critical,CA:true
            keyUsage = critical,keyCertSign,cRLSign
            """, to: "ca.cnf")
        try self.openssl(
            ["req", "-x509", "-config", "ca.cnf", "-days", "2", "-subj", "/CN=test authority"]
                + Self.newKey("ca.key") + ["-out", "ca.pem"])
    }

    package func remove() { try? FileManager.default.removeItem(atPath: self.folder) }

    /// `names` as in OpenSSL's configuration: `DNS:localhost`, `URI:spiffe://test/a`, `IP:127.0.0.1`.
    package func issue(
        _ label: String, names: [String], usage: Usage, validity: Validity = .days(2)
    ) throws -> Certificate {
        try self.write(
            (names.isEmpty ? [] : ["subjectAltName=" + names.joined(separator: ",")])
                .appending(usage.rawValue).joined(separator: "\n") + "\n", to: "\(label).ext")
        try self.openssl(
            ["req", "-config", "ca.cnf", "-subj", "/CN=\(label)"] + Self.newKey("\(label).key")
                + ["-out", "\(label).csr"])
        var arguments = [
            "ca", "-batch", "-notext", "-config", "ca.cnf", "-in", "\(label).csr", "-out",
            "\(label).pem", "-extfile", "\(label).ext",
        ]
        switch validity {
        case .days(let days): arguments += ["-days", "\(days)"]
        case .expired:
            arguments += ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]
        case .ending:
            arguments += ["-startdate", "20200101000000Z", "-enddate", Self.time(in: 40_000)]
        }
        try self.openssl(arguments)
        return self.certificate(label)
    }

    /// One that no authority has signed.
    package func selfSigned(_ label: String, names: [String]) throws -> Certificate {
        try self.openssl(
            [
                "req", "-x509", "-config", "ca.cnf", "-days", "2", "-subj", "/CN=\(label)",
                "-addext", "subjectAltName=" + names.joined(separator: ","), "-addext",
                Usage.client.rawValue,
            ] + Self.newKey("\(label).key") + ["-out", "\(label).pem"])
        return self.certificate(label)
    }

    package func revoke(_ certificate: Certificate) throws {
        try self.openssl(["ca", "-config", "ca.cnf", "-revoke", certificate.path])
    }

    package func writeRevoked(isExpired: Bool = false) throws {
        let times = ["-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200201000000Z"]
        try self.openssl(
            ["ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem"] + (isExpired ? times : []))
    }

    /// As OpenSSL's program wants times.
    private static func time(in seconds: Int) -> String {
        let digits = Date().addingTimeInterval(Double(seconds)).ISO8601Format().filter(\.isNumber)
        return digits + "Z"
    }

    private func certificate(_ label: String) -> Certificate {
        Certificate(path: "\(self.folder)/\(label).pem", keyPath: "\(self.folder)/\(label).key")
    }

    private static func newKey(_ path: String) -> [String] {
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]
    }

    package func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(self.folder)/\(name)"))
    }

    package func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: self.folder)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        let errors = "\(self.folder)/errors"
        try self.write("", to: "errors")
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let text = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
            throw Trouble(description: "openssl \(arguments.joined(separator: " ")): \(text)")
        }
    }
}

extension Array {
    fileprivate func appending(_ element: Element) -> [Element] { self + [element] }
}
