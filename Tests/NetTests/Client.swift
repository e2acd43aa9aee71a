import Foundation

#if canImport(Glibc)
    import Glibc
    // Not for child processes that other tests start meanwhile: they would hold it open.
    private let streamSocket = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
#else
    private let streamSocket = SOCK_STREAM
#endif

/// What the tests' blocking clients read with.
protocol Receiving {
    /// At most `count` bytes; empty at the end of the stream.
    func receiveSome(_ count: Int) throws -> [UInt8]
}

extension Receiving {
    func receiveSome() throws -> [UInt8] { try self.receiveSome(65536) }

    /// Exactly `count` bytes, or fewer at the end of the stream.
    func receive(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let piece = try self.receiveSome(min(1 << 20, count - bytes.count))
            if piece.isEmpty { break }
            bytes += piece
        }
        return bytes
    }

    /// Everything until the end of the stream.
    func receiveAll() throws -> [UInt8] { try self.receive(.max) }
}

/// A plain blocking socket. Its time-outs only end tests that have failed.
struct Client: Receiving, Sendable {
    struct Problem: Error { let what: String }

    let descriptor: Int32

    /// Not yet connected.
    init(family: Int32 = AF_INET, receiveBytes: Int32? = nil) throws {
        self.descriptor = socket(family, streamSocket, 0)
        guard self.descriptor >= 0 else { throw Self.problem("socket") }
        var time = timeval(tv_sec: 30, tv_usec: 0)
        let length = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(self.descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, length)
        setsockopt(self.descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, length)
        if var bytes = receiveBytes {
            setsockopt(
                self.descriptor, SOL_SOCKET, SO_RCVBUF, &bytes,
                socklen_t(MemoryLayout<Int32>.size))
        }
    }

    init(port: UInt16, receiveBytes: Int32? = nil) throws {
        try self.init(family: AF_INET, receiveBytes: receiveBytes)
        try self.connect(port: port)
    }

    init(path: String) throws {
        try self.init(family: AF_UNIX)
        var address = unixAddress(path)
        let code = withUnsafeBytes(of: &address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { rebound in
                rebound.baseAddress.map {
                    Foundation.connect(self.descriptor, $0, socklen_t(bytes.count))
                } ?? -1
            }
        }
        if code != 0 {
            let problem = Self.problem("connect")
            self.close()
            throw problem
        }
    }

    func connect(port: UInt16) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafeBytes(of: &address) { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { rebound in
                rebound.baseAddress.map {
                    Foundation.connect(self.descriptor, $0, socklen_t(bytes.count))
                } ?? -1
            }
        }
        if code != 0 { throw Self.problem("connect") }
    }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                write(self.descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent)
            }
            guard count > 0 else { throw Self.problem("write") }
            sent += count
        }
    }

    /// At most `count` bytes; empty at the end of the stream.
    func receiveSome(_ count: Int) throws -> [UInt8] {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            let got = read(self.descriptor, buffer.baseAddress, count)
            failed = got < 0
            used = max(0, got)
        }
        if failed { throw Self.problem("read") }
        return bytes
    }

    func finishSending() { shutdown(self.descriptor, Int32(SHUT_WR)) }

    func close() { _ = Foundation.close(self.descriptor) }

    /// Closes with a reset instead of an end of stream.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            self.descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        self.close()
    }

    private static func problem(_ what: String) -> Problem {
        Problem(what: "\(what): \(String(cString: strerror(errno)))")
    }
}

func unixAddress(_ path: String) -> sockaddr_un {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    return address
}

/// Leaves a socket file at which nobody listens, as a server that was killed does.
func leaveStaleSocket(_ path: String) -> Bool {
    let descriptor = socket(AF_UNIX, streamSocket, 0)
    var address = unixAddress(path)
    let code = withUnsafeBytes(of: &address) { bytes in
        bytes.withMemoryRebound(to: sockaddr.self) { rebound in
            rebound.baseAddress.map { bind(descriptor, $0, socklen_t(bytes.count)) } ?? -1
        }
    }
    close(descriptor)
    return code == 0
}

/// Sets the number of descriptors that the process may have and returns the one before.
@discardableResult
func setDescriptorLimit(_ limit: UInt64?) -> UInt64 {
    var limits = rlimit()
    #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
        let resource = RLIMIT_NOFILE
    #endif
    getrlimit(resource, &limits)
    let before = UInt64(limits.rlim_cur)
    limits.rlim_cur = min(limits.rlim_max, rlim_t(limit ?? UInt64(limits.rlim_max)))
    setrlimit(resource, &limits)
    return before
}

/// Resident memory of this process, or nil where /proc does not tell.
func residentBytes() -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
        return nil
    }
    return text.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 4096 }
}
