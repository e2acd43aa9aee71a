import CLibUV

#if canImport(Darwin)
    import Darwin
    let streamSocket = SOCK_STREAM
#else
    import Glibc
    let streamSocket = Int32(SOCK_STREAM.rawValue)
#endif

/// The text of the last error of a system call.
func lastError() -> String { String(cString: strerror(errno)) }

/// Calls `body` with a zeroed address of the size of the largest kind.
func withSocketAddress<Result>(
    _ body: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Result
) -> Result {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutableBytes(of: &storage) { bytes in
        // A sockaddr_storage is made to be taken for a sockaddr. Source: POSIX, <sys/socket.h>.
        bytes.withMemoryRebound(to: sockaddr.self) { addresses in
            withUnsafeMutablePointer(to: &addresses[0]) { body($0, &length) }
        }
    }
}

/// `127.0.0.1:51234` or `[::1]:51234`.
func numericName(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> String? {
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var service = [CChar](repeating: 0, count: 32)
    let code = getnameinfo(
        address, length, &host, socklen_t(host.count), &service, socklen_t(service.count),
        NI_NUMERICHOST | NI_NUMERICSERV)
    guard code == 0 else { return nil }
    let name = text(host)
    return name.contains(":") ? "[\(name)]:\(text(service))" : "\(name):\(text(service))"
}

func localName(of descriptor: Int32) -> String? {
    withSocketAddress { address, length in
        getsockname(descriptor, address, &length) == 0 ? numericName(address, length) : nil
    }
}

func peerName(of descriptor: Int32, isUnix: Bool) -> String {
    if isUnix {
        var user: UInt32 = 0
        var process: Int32 = 0
        guard dormouse_peer_credentials(descriptor, &user, &process) == 0 else { return "unix" }
        return "unix:uid=\(user),pid=\(process)"
    }
    return withSocketAddress { address, length in
        guard getpeername(descriptor, address, &length) == 0 else { return nil }
        return numericName(address, length)
    } ?? "unknown"
}

private func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
