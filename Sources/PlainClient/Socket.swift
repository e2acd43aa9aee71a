package import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A connected stream socket that does not block by itself; every wait has a deadline. Bytes only:
/// `Client` speaks the protocol over it, and tests send what no client would.
package final class Socket {
    /// For `poll`, and for tests; negative once it is closed.
    package private(set) var descriptor: Int32
    package let address: Address

    /// Connects. Throws `unavailable` when nobody listens there or the name is not known, and
    /// `deadlineExceeded`.
    package init(connectingTo address: Address, timeoutMilliseconds: Int) throws(Failure) {
        self.address = address
        self.descriptor = -1
        let deadline = Deadline(afterMilliseconds: timeoutMilliseconds)
        switch address.endpoint {
        case .unix(let path):
            self.descriptor = try Self.connect(path: path, address, deadline)
        case .tcp(let host, let port):
            self.descriptor = try Self.connect(host: host, port: port, address, deadline)
        }
    }

    deinit {
        self.close()
    }

    package func close() {
        guard self.descriptor >= 0 else { return }
        POSIX.close(self.descriptor)
        self.descriptor = -1
    }

    /// Writes as much as the socket takes at once; 0 when it takes nothing now.
    package func writeSome(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Int {
        guard self.descriptor >= 0 else { throw self.closedHere }
        while true {
            let count = POSIX.send(self.descriptor, bytes.baseAddress, bytes.count, Self.sendFlags)
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN, EWOULDBLOCK: return 0
            default: throw self.lost(errno)
            }
        }
    }

    /// Reads what has come. Empty: nothing now. Throws `unavailable` when the other side has
    /// closed.
    package func readSome(_ buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        guard self.descriptor >= 0 else { throw self.closedHere }
        while true {
            let count = POSIX.recv(self.descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return count }
            if count == 0 {
                throw Failure(.unavailable, "the server at \(self.address) closed the connection")
            }
            switch errno {
            case EINTR: continue
            case EAGAIN, EWOULDBLOCK: return 0
            default: throw self.lost(errno)
            }
        }
    }

    /// What `wait` saw.
    package struct Readiness {
        package var isReadable = false
        package var isWritable = false
        package var isWoken = false
    }

    /// Waits until the socket can be read (or written, with `forWriting`), until `wake` can be
    /// read, until a signal comes, or for so many milliseconds (negative: no bound).
    package func wait(
        forWriting: Bool = false, wake: Int32 = -1, milliseconds: Int32
    ) throws(Failure) -> Readiness {
        guard self.descriptor >= 0 else { throw self.closedHere }
        var watched = [
            pollfd(
                fd: self.descriptor, events: Int16(POLLIN) | (forWriting ? Int16(POLLOUT) : 0),
                revents: 0),
            // `poll` looks over negative descriptors.
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
        ]
        let count = poll(&watched, nfds_t(watched.count), milliseconds)
        if count < 0 {
            guard errno == EINTR else { throw self.lost(errno) }
            return Readiness(isWoken: wake >= 0)
        }
        let broken = Int16(POLLERR) | Int16(POLLHUP) | Int16(POLLNVAL)
        return Readiness(
            isReadable: watched[0].revents & (Int16(POLLIN) | broken) != 0,
            isWritable: watched[0].revents & (Int16(POLLOUT) | broken) != 0,
            isWoken: watched[1].revents != 0)
    }

    private var closedHere: Failure {
        Failure(.unavailable, "the connection to \(self.address) was closed by this client")
    }

    private func lost(_ error: Int32) -> Failure {
        Failure(
            .unavailable,
            "the connection to the server at \(self.address) is lost: "
                + POSIX.text(error))
    }
}
