package import Core

/// Where a listener listens.
package enum ListenAddress: Hashable, Sendable {
    /// `host` is a name, an IPv4 or an IPv6 address; port 0 lets the system choose.
    case tcp(host: String, port: UInt16)
    /// `mode` are the permissions of the socket file.
    case unix(path: String, mode: UInt32)

    /// `HOST:PORT`, `[IPV6]:PORT`, `unix:PATH` or a path that begins with `/`.
    package init(parsing text: String, unixMode mode: UInt32 = 0o660) throws(Failure) {
        if text.hasPrefix("unix:") || text.hasPrefix("/") {
            let path = text.hasPrefix("/") ? text : String(text.dropFirst("unix:".count))
            guard !path.isEmpty else { throw Self.malformed(text) }
            self = .unix(path: path, mode: mode)
            return
        }
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { throw Self.malformed(text) }
        var host = text[..<colon]
        if host.hasPrefix("[") && host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Self.malformed(text)
        }
        guard !host.isEmpty else { throw Self.malformed(text) }
        self = .tcp(host: String(host), port: port)
    }

    private static func malformed(_ text: String) -> Failure {
        Failure(
            .invalidArgument,
            "\"\(text)\" is not an address; expected HOST:PORT, [IPV6]:PORT or unix:PATH, "
                + "for example 127.0.0.1:7300 or unix:/run/dormouse/socket")
    }
}

extension ListenAddress: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let host, let port):
            host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path, _): "unix:\(path)"
        }
    }
}
