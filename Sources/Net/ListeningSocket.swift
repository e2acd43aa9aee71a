package import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A descriptor that listens, and the socket file that goes with it.
package struct ListeningSocket {
    /// Connections that wait to be accepted; the kernel cuts it to its own limit
    /// (net.core.somaxconn, 4096 on Linux).
    private static let backlog: Int32 = 4096

    package let descriptor: Int32
    /// 0 for a unix socket.
    let port: UInt16
    package let name: String
    private let file: SocketFile?

    package init(_ address: ListenAddress) throws(Failure) {
        switch address {
        case .tcp(let host, let port), .tls(let host, let port):
            try self.init(tcp: address, host: host, port: port)
        case .unix(let path, let mode): try self.init(unix: address, path: path, mode: mode)
        }
    }

    /// One whose file belongs to somebody else.
    init(descriptor: Int32, port: UInt16, name: String) {
        self.descriptor = descriptor
        self.port = port
        self.name = name
        self.file = nil
    }

    /// Closes the descriptor and removes the socket file, if it still is ours.
    func close() {
        _ = socketClose(self.descriptor)
        self.file?.remove()
    }

    // MARK: TCP

    private init(tcp address: ListenAddress, host: String, port: UInt16) throws(Failure) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = streamSocket
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0, let first = found else {
            throw Failure(
                .invalidArgument,
                "cannot listen on \(address): the host \"\(host)\" is not known; "
                    + "expected an address of this machine",
                underlying: String(cString: gai_strerror(code)))
        }
        defer { freeaddrinfo(first) }
        // A name may stand for several addresses, not all of which this machine may use: the first
        // that works is taken.
        var failure: Failure?
        var next: UnsafeMutablePointer<addrinfo>? = first
        while let info = next {
            do throws(Failure) {
                self.descriptor = try Self.listen(info.pointee, address)
                self.name = localName(of: self.descriptor) ?? address.description
                self.port = self.name.split(separator: ":").last.flatMap { UInt16($0) } ?? port
                self.file = nil
                return
            } catch {
                failure = failure ?? error
            }
            next = info.pointee.ai_next
        }
        throw failure ?? Failure(.internal, "cannot listen on \(address): it has no address")
    }

    private static func listen(_ info: addrinfo, _ address: ListenAddress) throws(Failure) -> Int32
    {
        let descriptor = try Self.open(info.ai_family, address)
        Self.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if info.ai_family == AF_INET6 {
            // `[::]` also serves IPv4, whatever the machine's default.
            Self.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0)
        }
        guard bind(descriptor, info.ai_addr, info.ai_addrlen) == 0,
            socketListen(descriptor, Self.backlog) == 0
        else {
            let failure = Self.failure(address, errno)
            _ = socketClose(descriptor)
            throw failure
        }
        return descriptor
    }

    // MARK: Unix

    private init(unix address: ListenAddress, path: String, mode: UInt32) throws(Failure) {
        var target = try SocketFile.address(path)
        try SocketFile.removeStale(path, &target)
        let descriptor = try Self.open(AF_UNIX, address)
        // The mode is set before anybody can connect: until `listen`, connecting is refused.
        guard SocketFile.withAddress(&target, { bind(descriptor, $0, $1) }) == 0 else {
            let failure = Self.failure(address, errno)
            _ = socketClose(descriptor)
            throw failure
        }
        guard chmod(path, mode_t(mode)) == 0, socketListen(descriptor, Self.backlog) == 0 else {
            let failure = Self.failure(address, errno)
            _ = socketClose(descriptor)
            unlink(path)
            throw failure
        }
        self.descriptor = descriptor
        self.port = 0
        self.name = address.description
        self.file = SocketFile(path)
    }

    // MARK: Both

    private static func open(_ family: Int32, _ address: ListenAddress) throws(Failure) -> Int32 {
        let descriptor = socket(family, streamSocket, 0)
        guard descriptor >= 0 else { throw Self.failure(address, errno) }
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0,
            fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0
        else {
            let failure = Self.failure(address, errno)
            _ = socketClose(descriptor)
            throw failure
        }
        return descriptor
    }

    /// Both options only make life easier; without them `bind` says what is wrong.
    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func failure(_ address: ListenAddress, _ code: Int32) -> Failure {
        let why = String(cString: strerror(code))
        switch code {
        case EADDRINUSE:
            return Failure(
                .failedPrecondition,
                "cannot listen on \(address): the address is in use; "
                    + "stop the other server or choose another port", underlying: why)
        case EACCES, EPERM:
            return Failure(
                .permissionDenied,
                "cannot listen on \(address): not permitted; choose a port above 1023, "
                    + "or a folder that this user may write to", underlying: why)
        case EADDRNOTAVAIL:
            return Failure(
                .invalidArgument,
                "cannot listen on \(address): this machine does not have that address; "
                    + "0.0.0.0 or [::] stand for all that it has", underlying: why)
        case ENOENT, ENOTDIR:
            return Failure(
                .invalidArgument,
                "cannot listen on \(address): there is no such folder; create it first",
                underlying: why)
        case _:
            return Failure(.unavailable, "cannot listen on \(address): \(why)", underlying: why)
        }
    }
}

// The names `close` and `listen` are methods here too.
func socketClose(_ descriptor: Int32) -> Int32 { close(descriptor) }
private func socketListen(_ descriptor: Int32, _ backlog: Int32) -> Int32 {
    listen(descriptor, backlog)
}
