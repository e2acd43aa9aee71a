import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Blocking TCP sockets of this machine's own address.
enum Loopback {
    static func socket() -> Int32 {
        #if canImport(Darwin)
            Darwin.socket(AF_INET, SOCK_STREAM, 0)
        #else
            Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
    }

    /// What `body`, which is `connect` or `bind`, says of the address with this port.
    static func withAddress(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
        }
    }

    /// Sends all of it; `peer` names who is gone when that cannot be done.
    static func write(
        _ bytes: [UInt8], to descriptor: Int32, peer: String
    ) throws(Failure) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(
                    descriptor, $0.baseAddress?.advanced(by: offset), bytes.count - offset,
                    Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(.unavailable, "\(peer) is gone") }
            offset += count
        }
    }
}
