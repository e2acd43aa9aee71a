package import Core

/// Where a listener listens.
package enum ListenAddress: Hashable, Sendable {
    /// `host` is a name, an IPv4 or an IPv6 address; port 0 lets the system choose.
    case tcp(host: String, port: UInt16)
    /// The same, and who connects must speak TLS.
    case tls(host: String, port: UInt16)
    /// `mode` are the permissions of the socket file.
    case unix(path: String, mode: UInt32)

    /// `HOST:PORT`, `[IPV6]:PORT`, either with `tls:` before it, `unix:PATH`, or a path that begins
    /// with `/`.
    package init(parsing text: String, unixMode mode: UInt32 = 0o660) throws(Failure) {
        if text.hasPrefix("unix:") || text.hasPrefix("/") {
            let path = text.hasPrefix("/") ? text : String(text.dropFirst("unix:".count))
            guard !path.isEmpty else { throw Self.malformed(text) }
            self = .unix(path: path, mode: mode)
            return
        }
        let isTLS = text.hasPrefix("tls:")
        let place = isTLS ? text.dropFirst("tls:".count) : text[...]
        guard let colon = place.lastIndex(of: ":"),
            let port = UInt16(place[place.index(after: colon)...])
        else { throw Self.malformed(text) }
        var host = place[..<colon]
        if host.hasPrefix("[") && host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Self.malformed(text)
        }
        guard !host.isEmpty else { throw Self.malformed(text) }
        self =
            isTLS ? .tls(host: String(host), port: port) : .tcp(host: String(host), port: port)
    }

    /// Whether only programs on this machine can connect: told by the name, so that a name that
    /// means another address tomorrow is not taken for local.
    package var isLocal: Bool {
        switch self {
        case .tcp(let host, _), .tls(let host, _):
            // A name of another machine may begin like a number.
            host == "localhost" || host == "::1"
                || host.hasPrefix("127.") && host.allSatisfy { "0123456789.".contains($0) }
        case .unix: true
        }
    }

    package var isTLS: Bool {
        switch self {
        case .tls: true
        case .tcp, .unix: false
        }
    }

    private static func malformed(_ text: String) -> Failure {
        Failure(
            .invalidArgument,
            "\"\(text)\" is not an address; expected HOST:PORT, [IPV6]:PORT, tls:HOST:PORT or "
                + "unix:PATH, for example 127.0.0.1:7300 or unix:/run/dormouse/socket")
    }
}

extension ListenAddress: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let host, let port):
            host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .tls(let host, let port):
            "tls:" + Self.tcp(host: host, port: port).description
        case .unix(let path, _): "unix:\(path)"
        }
    }
}
