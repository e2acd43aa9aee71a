import CLibUV
import Core

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

/// Who is at the other end of a socket that was accepted: for people, and for programs.
func peer(of descriptor: Int32, isUnix: Bool) -> (name: String, identity: PeerIdentity) {
    if isUnix {
        var user: UInt32 = 0
        var group: UInt32 = 0
        var process: Int32 = 0
        guard dormouse_peer_credentials(descriptor, &user, &group, &process) == 0 else {
            return ("unix", PeerIdentity(isLocal: true, network: nil))
        }
        return (
            "unix:uid=\(user),pid=\(process)",
            PeerIdentity(
                evidence: .unixUser(uid: user, gid: group), isLocal: true, network: nil)
        )
    }
    return withSocketAddress { address, length in
        guard getpeername(descriptor, address, &length) == 0 else {
            return ("unknown", .unknown)
        }
        let network = PeerNetwork(addressBytes: addressBytes(address))
        return (
            numericName(address, length) ?? "unknown",
            PeerIdentity(isLocal: network.map(isLoopback) ?? false, network: network)
        )
    }
}

/// The address in network order: 4 bytes, 16, or none for another family.
private func addressBytes(_ address: UnsafePointer<sockaddr>) -> [UInt8] {
    switch Int32(address.pointee.sa_family) {
    case AF_INET:
        address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { four in
            withUnsafeBytes(of: four.pointee.sin_addr) { [UInt8]($0) }
        }
    case AF_INET6:
        address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { six in
            withUnsafeBytes(of: six.pointee.sin6_addr) { [UInt8]($0) }
        }
    case _:
        []
    }
}

/// Of ::/64 only ::1 can be the other end of a connection.
private func isLoopback(_ network: PeerNetwork) -> Bool {
    switch network {
    case .four(let bits): bits >> 24 == 127
    case .six(let bits): bits == 0
    }
}

private func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
}
