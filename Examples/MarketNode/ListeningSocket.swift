import WorkerCommands

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A socket on which this machine, and nobody else, is listened to. Whoever serves it closes it.
struct ListeningSocket {
    let descriptor: Int32
    let port: UInt16

    /// - Parameter port: 0: any free one.
    init(port: UInt16) throws {
        #if canImport(Darwin)
            let kind = SOCK_STREAM
        #else
            let kind = Int32(SOCK_STREAM.rawValue)
        #endif
        let descriptor = socket(AF_INET, kind, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isListening else {
            close(descriptor)
            throw UsageError("cannot listen on port \(port)")
        }
        (self.descriptor, self.port) = (descriptor, UInt16(bigEndian: address.sin_port))
    }
}
