import Foundation

#if canImport(Darwin)
    import Darwin
    private let streamSocket = SOCK_STREAM
#else
    import Glibc
    private let streamSocket = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
#endif

/// Many sockets of somebody who means no good, without a thread or a decoder each.
final class Strangers {
    private var descriptors: [Int32] = []

    deinit { self.closeAll() }

    var count: Int { self.descriptors.count }

    func closeAll() {
        for descriptor in self.descriptors { close(descriptor) }
        self.descriptors = []
    }

    /// Connects from an address of its own, 127.0.0.0/8 being full of them, and sends these bytes.
    /// false: the system has no more.
    @discardableResult
    func connect(to port: Int, from host: UInt8 = 1, _ bytes: [UInt8] = []) throws -> Bool {
        let descriptor = socket(AF_INET, streamSocket, 0)
        guard descriptor >= 0 else { return false }
        self.descriptors.append(descriptor)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        var on: Int32 = 1
        // Closed at once with a reset, or thousands of ports would wait for their end.
        var hard = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        guard Self.with(host: host, port: 0, { bind(descriptor, $0, $1) }) == 0 else {
            throw Problem("cannot bind 127.0.1.\(host): \(String(cString: strerror(errno)))")
        }
        let code = Self.with(host: nil, port: UInt16(port)) {
            posixConnect(descriptor, $0, $1)
        }
        guard code == 0 || errno == EINPROGRESS else {
            throw Problem("cannot connect: \(String(cString: strerror(errno)))")
        }
        guard !bytes.isEmpty else { return true }
        // On loopback the connection is there by now, or will be when the backlog has room.
        var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&watched, 1, 5_000)
        _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        return true
    }

    /// Sends one more byte on each; what the server has closed is let go.
    func drip(_ byte: UInt8) {
        var byte = byte
        self.descriptors.removeAll { descriptor in
            if send(descriptor, &byte, 1, Int32(MSG_NOSIGNAL)) == 1, self.isOpen(descriptor) {
                return false
            }
            close(descriptor)
            return true
        }
    }

    /// How many the server has not closed.
    var open: Int { self.descriptors.count(where: self.isOpen) }

    private func isOpen(_ descriptor: Int32) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            if count > 0 { continue }
            return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)
        }
    }

    private static func with(
        host: UInt8?, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        let number: UInt32 = host.map { 0x7F00_0100 | UInt32($0) } ?? 0x7F00_0001
        address.sin_addr.s_addr = number.bigEndian
        return withUnsafeBytes(of: &address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { rebound in
                rebound.baseAddress.map { body($0, socklen_t(bytes.count)) } ?? -1
            }
        }
    }

    /// Lets this process have so many descriptors more than it has. false: it may not.
    static func allowDescriptors(_ count: Int) -> Bool {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return false
        }
        limit.rlim_cur = min(limit.rlim_max, max(limit.rlim_cur, rlim_t(count + 256)))
        return setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
            && limit.rlim_cur >= rlim_t(count + 256)
    }

    /// What another process may have open.
    static func setDescriptorLimit(of process: pid_t, _ count: Int) throws {
        try Command.check(["/usr/bin/prlimit", "--pid", "\(process)", "--nofile=\(count):\(count)"])
    }
}

private func posixConnect(
    _ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ size: socklen_t
) -> Int32 {
    connect(descriptor, address, size)
}
