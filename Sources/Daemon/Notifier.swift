import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Tells the service manager how we are: sd_notify(3), which is a datagram of `KEY=VALUE` lines to a unix socket.
///
/// By hand and not with libsystemd: the protocol is promised to be stable and to be implemented by others, it is less
/// than what the library needs to be linked, found and packaged, and macOS and containers have no such library.
///
/// Never blocks. What the manager has no room for is kept and sent before the next message, except for signs of life,
/// which are soon outdated.
final class Notifier {
    private let descriptor: Int32
    private var address = sockaddr_un()
    private var length: socklen_t = 0
    private var waiting: [String] = []
    private var lastStatus = ""

    /// A change of state each; more than a whole life has.
    private static let waitingMax = 16

    /// Nil when there is nobody to tell, or not by a unix socket.
    init?(_ path: String?) {
        guard let path, path.hasPrefix("/") || path.hasPrefix("@") else { return nil }
        // A leading @ stands for the zero byte of a name that is not in the file system. Source: unix(7).
        let bytes = path.utf8.enumerated().map {
            $0.offset == 0 && $0.element == 0x40 ? 0 : $0.element
        }
        let room = MemoryLayout.size(ofValue: self.address.sun_path)
        guard bytes.count > 1, bytes.count < room else { return nil }
        let descriptor = socket(AF_UNIX, Self.datagram, 0)
        guard descriptor >= 0 else { return nil }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        self.descriptor = descriptor
        self.address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &self.address.sun_path) { $0.copyBytes(from: bytes) }
        self.length = socklen_t(
            (MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 0) + bytes.count)
    }

    deinit { close(self.descriptor) }

    // MARK: Messages, in the order of a life

    /// What `systemctl status` shows. Sent when it has changed.
    func status(_ text: String) {
        guard text != self.lastStatus else { return }
        self.lastStatus = text
        self.send("STATUS=\(Self.line(text))")
    }

    /// We start or stop, and need so much longer.
    func extend(microseconds: UInt64) {
        _ = self.deliver("EXTEND_TIMEOUT_USEC=\(microseconds)")
    }

    func ready(_ status: String) {
        self.lastStatus = status
        self.send("READY=1\nSTATUS=\(Self.line(status))")
    }

    func alive() {
        self.sendWaiting()
        _ = self.deliver("WATCHDOG=1")
    }

    /// `READY=1` must follow. The time is that of CLOCK_MONOTONIC.
    func reloading(monotonicMicroseconds: UInt64) {
        self.send("RELOADING=1\nMONOTONIC_USEC=\(monotonicMicroseconds)")
    }

    func stopping(_ status: String) {
        self.lastStatus = status
        self.send("STOPPING=1\nSTATUS=\(Self.line(status))")
    }

    /// A newline would begin another field.
    private static func line(_ text: String) -> String {
        text.split { $0.isNewline || $0 == "\t" }.joined(separator: " ")
    }

    // MARK: Sending

    private func send(_ text: String) {
        self.sendWaiting()
        if self.waiting.isEmpty, self.deliver(text) { return }
        if self.waiting.count < Self.waitingMax { self.waiting.append(text) }
    }

    func sendWaiting() {
        while let text = self.waiting.first, self.deliver(text) { self.waiting.removeFirst() }
    }

    /// False when there is no room now. Any other failure means that nobody listens: there is nobody to tell.
    private func deliver(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        let sent = withUnsafeBytes(of: &self.address) { address -> Int in
            guard let base = address.baseAddress else { return 0 }
            // A sockaddr_un is made to be taken for a sockaddr. Source: POSIX, <sys/un.h>.
            return sendto(
                self.descriptor, bytes, bytes.count, Self.noSignal,
                base.assumingMemoryBound(to: sockaddr.self), self.length)
        }
        return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS)
    }

    #if canImport(Darwin)
        private static let datagram = SOCK_DGRAM
        private static let noSignal: Int32 = 0
    #else
        private static let datagram = Int32(SOCK_DGRAM.rawValue)
        private static let noSignal = Int32(MSG_NOSIGNAL)
    #endif
}
