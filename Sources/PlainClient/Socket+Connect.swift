import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

// The system's functions whose names are also names of methods here.
enum POSIX {
    static func close(_ descriptor: Int32) {
        // Nothing can be done about a close that fails; the descriptor is gone all the same.
        #if canImport(Darwin)
            _ = Darwin.close(descriptor)
        #else
            _ = Glibc.close(descriptor)
        #endif
    }

    static func send(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: Int32)
        -> Int
    {
        guard let bytes, count > 0 else { return 0 }
        #if canImport(Darwin)
            return Darwin.send(descriptor, bytes, count, flags)
        #else
            return Glibc.send(descriptor, bytes, count, flags)
        #endif
    }

    static func recv(
        _ descriptor: Int32, _ bytes: UnsafeMutableRawPointer?, _ count: Int, _ flags: Int32
    ) -> Int {
        #if canImport(Darwin)
            return Darwin.recv(descriptor, bytes, count, flags)
        #else
            return Glibc.recv(descriptor, bytes, count, flags)
        #endif
    }

    static func connect(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ size: socklen_t)
        -> Int32
    {
        #if canImport(Darwin)
            return Darwin.connect(descriptor, address, size)
        #else
            return Glibc.connect(descriptor, address, size)
        #endif
    }

    static func text(_ error: Int32) -> String {
        strerror(error).map { String(cString: $0) } ?? "error \(error)"
    }
}

extension Socket {
    // A peer that has gone must be an error of `send`, not a signal.
    #if canImport(Darwin)
        static let sendFlags: Int32 = 0
        private static let stream = SOCK_STREAM
    #else
        static let sendFlags = Int32(MSG_NOSIGNAL)
        private static let stream = Int32(SOCK_STREAM.rawValue)
    #endif

    static func connect(
        path: String, _ address: Address, _ deadline: Deadline
    ) throws(Failure) -> Int32 {
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { room in
            // `Address` has checked the length; the rest is 0 already.
            room.copyBytes(from: path.utf8.prefix(room.count - 1))
        }
        return try withUnsafeBytes(of: &name) { bytes throws(Failure) in
            try Self.connect(
                bytes, family: AF_UNIX, to: address, within: deadline)
        }
    }

    static func connect(
        host: String, port: UInt16, _ address: Address, _ deadline: Deadline
    ) throws(Failure) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Self.stream
        var found: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &found)
        guard status == 0 else {
            let why =
                status == EAI_SYSTEM ? POSIX.text(errno) : String(cString: gai_strerror(status))
            throw Failure(.unavailable, "cannot find the host '\(host)' of \(address): \(why)")
        }
        defer { freeaddrinfo(found) }
        var failure = Failure(.unavailable, "the host '\(host)' of \(address) has no address")
        var next = found
        while let entry = next?.pointee {
            next = entry.ai_next
            let bytes = UnsafeRawBufferPointer(start: entry.ai_addr, count: Int(entry.ai_addrlen))
            do throws(Failure) {
                return try Self.connect(
                    bytes, family: entry.ai_family, to: address, within: deadline)
            } catch {
                failure = error
                if deadline.hasPassed { break }
            }
        }
        throw failure
    }

    private static func connect(
        _ name: UnsafeRawBufferPointer, family: Int32, to address: Address,
        within deadline: Deadline
    ) throws(Failure) -> Int32 {
        let descriptor = socket(family, Self.stream, 0)
        guard descriptor >= 0 else { throw Self.refused(address, errno) }
        do throws(Failure) {
            try Self.prepare(descriptor, family: family, address)
            guard let start = name.baseAddress?.assumingMemoryBound(to: sockaddr.self) else {
                throw Self.refused(address, EINVAL)
            }
            // An interrupted connect goes on, as one that was told to not block does. A full unix
            // socket says EAGAIN: there is nothing to wait on, so that is a refusal.
            if POSIX.connect(descriptor, start, socklen_t(name.count)) != 0 {
                guard errno == EINPROGRESS || errno == EINTR else {
                    throw Self.refused(address, errno)
                }
                try Self.awaitConnection(descriptor, address, deadline)
            }
            return descriptor
        } catch {
            POSIX.close(descriptor)
            throw error
        }
    }

    private static func prepare(
        _ descriptor: Int32, family: Int32, _ address: Address
    ) throws(Failure) {
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0,
            fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0
        else { throw Self.refused(address, errno) }
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        if family != AF_UNIX {
            // Requests are written whole; waiting for more to send would only delay them. Failing
            // to set it costs time and nothing else.
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
        }
        #if canImport(Darwin)
            setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, size)
        #endif
    }

    private static func awaitConnection(
        _ descriptor: Int32, _ address: Address, _ deadline: Deadline
    ) throws(Failure) {
        var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        while true {
            let count = poll(&watched, 1, deadline.pollMilliseconds())
            if count > 0 { break }
            if count < 0, errno != EINTR { throw Self.refused(address, errno) }
            if deadline.hasPassed {
                throw Failure(
                    .deadlineExceeded,
                    "the server at \(address) did not take the connection in time")
            }
        }
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 else {
            throw Self.refused(address, errno)
        }
        if error != 0 { throw Self.refused(address, error) }
    }

    private static func refused(_ address: Address, _ error: Int32) -> Failure {
        Failure(.unavailable, "cannot connect to \(address): \(POSIX.text(error))")
    }
}
