import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The file of a unix socket that we bound: which one it was, so that only that one is removed.
struct SocketFile {
    private let path: String
    private let device: dev_t
    private let inode: ino_t

    /// Nil when the file is gone already.
    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.path = path
        self.device = status.st_dev
        self.inode = status.st_ino
    }

    /// Leaves a file that another server has put into its place.
    func remove() {
        var status = stat()
        guard lstat(self.path, &status) == 0, status.st_dev == self.device,
            status.st_ino == self.inode
        else { return }
        unlink(self.path)
    }

    static func address(_ path: String) throws(Failure) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < room, !bytes.contains(0) else {
            throw Failure(
                .invalidArgument,
                "cannot listen on unix:\(path): the path has \(bytes.count) bytes; "
                    + "expected at most \(room - 1)")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }

    /// `unix:PATH`; `unix:@NAME` in Linux's namespace that is not in the file system. Source: unix(7).
    static func name(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> String {
        let bytes = UnsafeRawBufferPointer(start: address, count: Int(length))
            .dropFirst(MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 0)
        guard let first = bytes.first else { return "unix:" }
        let path =
            first == 0 ? [UInt8(ascii: "@")] + bytes.dropFirst() : Array(bytes.prefix { $0 != 0 })
        return "unix:" + String(decoding: path, as: UTF8.self)
    }

    static func withAddress(
        _ address: inout sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafeBytes(of: &address) { bytes in
            // A sockaddr_un is made to be taken for a sockaddr. Source: POSIX, <sys/un.h>.
            guard let base = bytes.baseAddress else { return -1 }
            return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
    }

    /// A server that was killed leaves its file behind, and nobody answers there: that one is
    /// removed. Anything else at the path is not ours to remove.
    static func removeStale(_ path: String, _ address: inout sockaddr_un) throws(Failure) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw Failure(
                .failedPrecondition,
                "cannot listen on unix:\(path): there is a file that is not a socket; "
                    + "remove it or choose another path")
        }
        let probe = socket(AF_UNIX, streamSocket, 0)
        guard probe >= 0 else {
            throw Failure(
                .unavailable, "cannot listen on unix:\(path): \(lastError())",
                underlying: lastError())
        }
        defer { _ = socketClose(probe) }
        // A server whose backlog is full must not keep us waiting.
        _ = fcntl(probe, F_SETFL, O_NONBLOCK)
        let isAlive = Self.withAddress(&address) { connect(probe, $0, $1) } == 0 || errno == EAGAIN
        let code = errno
        if isAlive {
            throw Failure(
                .failedPrecondition,
                "cannot listen on unix:\(path): another server is listening there; "
                    + "stop it or choose another path")
        }
        guard code == ECONNREFUSED else {
            throw Failure(
                .permissionDenied,
                "cannot listen on unix:\(path): whether the socket there is in use cannot be "
                    + "found out; remove it if it is not",
                underlying: String(cString: strerror(code)))
        }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw Failure(
                .permissionDenied,
                "cannot listen on unix:\(path): the stale socket there cannot be removed",
                underlying: lastError())
        }
    }
}
