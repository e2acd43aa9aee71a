package import Core

/// Where a server listens: `dormouse://HOST:PORT[/EXCHANGE]`, `unix:PATH` or `unix://PATH`.
package struct Address: Hashable, Sendable {
    package enum Endpoint: Hashable, Sendable {
        case tcp(host: String, port: UInt16)
        case unix(path: String)
    }

    package let endpoint: Endpoint
    /// The exchange that the address names, or nil.
    package let exchange: String?

    /// Source: protocol.md.
    package static let portDefault: UInt16 = 3673
    package static let standard = Address(
        endpoint: .tcp(host: "127.0.0.1", port: Self.portDefault))

    package init(endpoint: Endpoint, exchange: String? = nil) {
        self.endpoint = endpoint
        self.exchange = exchange
    }

    /// Throws `invalidArgument` for text that is no address.
    package init(_ text: String) throws(Failure) {
        if let path = text.removing(prefix: "unix:") {
            // `unix:///run/x` has an empty host; `unix:run/x` is relative to the directory.
            try self.init(unixPath: path.removing(prefix: "//") ?? path, text)
        } else if let rest = text.removing(prefix: "dormouse://") {
            try self.init(tcp: rest, text)
        } else if text.contains("://") {
            throw Self.failure(text, "has another scheme than dormouse or unix")
        } else {
            try self.init(tcp: text, text)
        }
    }

    private init(unixPath path: String, _ text: String) throws(Failure) {
        guard !path.isEmpty else { throw Self.failure(text, "has no path") }
        // sockaddr_un has room for 108 bytes on Linux and 104 elsewhere, with a 0 at the end.
        guard path.utf8.count < 104 else {
            throw Self.failure(text, "has a path of \(path.utf8.count) bytes, more than 103")
        }
        guard !path.utf8.contains(0) else { throw Self.failure(text, "has a 0 byte") }
        self.init(endpoint: .unix(path: path))
    }

    private init(tcp rest: String, _ text: String) throws(Failure) {
        var authority = rest[...]
        var exchange: String?
        if let slash = rest.firstIndex(of: "/") {
            authority = rest[..<slash]
            let name = String(rest[rest.index(after: slash)...])
            if !name.isEmpty { exchange = try Name(name, what: "exchange in the address").text }
        }
        let (host, port) = try Self.split(authority, text)
        guard !host.isEmpty, !host.utf8.contains(0) else { throw Self.failure(text, "has no host") }
        self.init(endpoint: .tcp(host: host, port: port), exchange: exchange)
    }

    private static func split(
        _ authority: Substring, _ text: String
    ) throws(Failure) -> (host: String, port: UInt16) {
        if authority.contains("@") {
            throw Self.failure(text, "has a user name, which this version does not know")
        }
        var host = authority
        var rest = Substring()
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else {
                throw Self.failure(text, "has a [ without a ]")
            }
            host = authority[authority.index(after: authority.startIndex)..<end]
            rest = authority[authority.index(after: end)...]
        } else if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            rest = authority[colon...]
        }
        if rest.isEmpty { return (String(host), Self.portDefault) }
        guard rest.hasPrefix(":"), let port = UInt16(rest.dropFirst()), port > 0 else {
            throw Self.failure(text, "has a port that is not 1 to 65535")
        }
        return (String(host), port)
    }

    private static func failure(_ text: String, _ problem: String) -> Failure {
        Failure(
            .invalidArgument,
            "the address '\(text)' \(problem); expected dormouse://HOST:PORT[/EXCHANGE] or "
                + "unix:/PATH")
    }
}

extension Address: CustomStringConvertible {
    package var description: String {
        switch self.endpoint {
        case .unix(let path):
            return "unix:\(path)"
        case .tcp(let host, let port):
            let name = host.contains(":") ? "[\(host)]" : host
            return "dormouse://\(name):\(port)" + (self.exchange.map { "/\($0)" } ?? "")
        }
    }
}

extension String {
    fileprivate func removing(prefix: String) -> String? {
        self.hasPrefix(prefix) ? String(self.dropFirst(prefix.count)) : nil
    }
}
