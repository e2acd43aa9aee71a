package import Core
import CLibUV

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A listening socket that a service manager opened for us, and keeps while we are away: whoever
/// connects meanwhile waits instead of being refused. Source: sd_listen_fds(3).
package struct PassedSocket: Hashable, Sendable {
    package let descriptor: Int32
    /// `FileDescriptorName=` of the socket unit, or the unit's own name; empty when nothing was said.
    package let name: String

    /// `FileDescriptorName=tls`: whoever connects there speaks TLS.
    package var isTLS: Bool { self.name == "tls" }

    /// Passed descriptors begin here. Source: sd-daemon.h, SD_LISTEN_FDS_START.
    private static let firstDescriptor: Int32 = 3

    /// What the environment says was passed; empty when it says nothing, or speaks to another process.
    package static func all(
        in environment: [String: String], process: Int32 = getpid()
    ) throws(Failure) -> [PassedSocket] {
        guard let owner = environment["LISTEN_PID"], Int32(owner) == process else { return [] }
        let text = environment["LISTEN_FDS"] ?? ""
        guard let count = Int32(text), count >= 0, count <= Limits.passedSocketsMax else {
            throw Failure(
                .invalidArgument,
                "LISTEN_FDS is '\(text)'; expected 0 to \(Limits.passedSocketsMax)")
        }
        let names = (environment["LISTEN_FDNAMES"] ?? "")
            .split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        return (0..<count).map { index in
            PassedSocket(
                descriptor: Self.firstDescriptor + index,
                name: Int(index) < names.count ? names[Int(index)] : "")
        }
    }
}

extension PassedSocket: CustomStringConvertible {
    package var description: String {
        self.name.isEmpty ? "\(self.descriptor)" : "\(self.descriptor) (\(self.name))"
    }
}

extension PassedSocket {
    /// Where it listens: `127.0.0.1:3673` or `unix:/run/dormouse/socket`. Throws when nobody can connect there.
    package func address() throws(Failure) -> String {
        guard Self.option(self.descriptor, SO_TYPE) == streamSocket,
            Self.option(self.descriptor, SO_ACCEPTCONN) == 1
        else { throw self.unfit("it is not a stream socket that listens") }
        let name = withSocketAddress { address, length -> String? in
            guard getsockname(self.descriptor, address, &length) == 0 else { return nil }
            switch Int32(address.pointee.sa_family) {
            case AF_INET, AF_INET6: return numericName(address, length)
            case AF_UNIX: return SocketFile.name(address, length)
            case _: return nil
            }
        }
        guard let name else { throw self.unfit("it is neither IPv4, IPv6 nor unix") }
        return name
    }

    fileprivate func unfit(_ why: String) -> Failure {
        Failure(
            .failedPrecondition,
            "cannot listen on the passed descriptor \(self): \(why); "
                + "expected a socket unit with ListenStream= and Accept=no")
    }

    private static func option(_ descriptor: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }
}

extension ListeningSocket {
    /// One that listens already; its file, if it has one, is not ours to remove.
    init(_ passed: PassedSocket) throws(Failure) {
        let name = try passed.address()
        let flags = fcntl(passed.descriptor, F_GETFL)
        guard flags >= 0, fcntl(passed.descriptor, F_SETFL, flags | O_NONBLOCK) == 0,
            fcntl(passed.descriptor, F_SETFD, FD_CLOEXEC) == 0
        else { throw passed.unfit("it cannot be used (\(lastError()))") }
        let port = name.hasPrefix("unix:") ? nil : name.split(separator: ":").last
        self.init(
            descriptor: passed.descriptor, port: port.flatMap { UInt16($0) } ?? 0, name: name)
    }
}
