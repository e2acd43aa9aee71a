import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A unit file of `deploy/`: the values of each key, in order; an empty value forgets those before it. Source:
/// systemd.syntax(7).
struct UnitFile {
    private var values: [String: [String]] = [:]

    static let folder = "\(Server.repository)/deploy"

    init(_ path: String) throws {
        for line in Folder.text(path).split(separator: "\n") {
            guard !line.hasPrefix("#"), !line.hasPrefix("["),
                let equals = line.firstIndex(of: "=")
            else { continue }
            let value = String(line[line.index(after: equals)...])
            let key = String(line[..<equals])
            if value.isEmpty {
                self.values[key] = []
            } else {
                self.values[key, default: []].append(value)
            }
        }
        guard !self.values.isEmpty else { throw Problem("\(path) holds nothing") }
    }

    subscript(key: String) -> [String] { self.values[key] ?? [] }
}

/// Hears what a service says: the other end of sd_notify(3).
final class NotifySocket {
    let path: String
    private let descriptor: Int32
    private(set) var messages: [String] = []

    init(in folder: String) throws {
        self.path = "\(folder)/notify"
        self.descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        try Sockets.bind(self.descriptor, self.path)
        // Services are other users.
        chmod(self.path, 0o777)
        _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(self.descriptor, F_SETFL, O_NONBLOCK)
    }

    deinit { close(self.descriptor) }

    /// All so far.
    @discardableResult
    func read() -> [String] {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(self.descriptor, &bytes, bytes.count, 0)
            guard count > 0 else { return self.messages }
            self.messages.append(String(decoding: bytes.prefix(count), as: UTF8.self))
        }
    }

    func forget() {
        self.read()
        self.messages = []
    }

    /// Waits for a message that begins with this, and returns it; those before it are forgotten, it is not.
    func wait(for prefix: String, containing text: String = "", seconds: Double = 60) throws
        -> String
    {
        try eventually("the service says \(prefix)…\(text)", seconds: seconds) {
            self.read()
            let isIt = { (message: String) in
                message.hasPrefix(prefix) && (text.isEmpty || message.contains(text))
            }
            guard let index = self.messages.firstIndex(where: isIt) else { return nil }
            self.messages.removeFirst(index)
            return self.messages[0]
        }
    }
}

/// Plays systemd's part for `deploy/dormoused.service`: holds the sockets of the socket unit (on places that are free
/// here), starts the unit's command line, and hears what it says.
final class ServiceManager {
    let folder: String
    let notify: NotifySocket
    let service: UnitFile
    /// Those of the socket unit, in its order.
    private(set) var sockets: [Int32] = []
    /// As clients write them.
    private(set) var uris: [String] = []
    private(set) var child: Child?

    /// `units` holds the unit files, `root` what they name.
    init(units: String = UnitFile.folder) throws {
        self.folder = try Folder.make()
        self.notify = try NotifySocket(in: self.folder)
        self.service = try UnitFile("\(units)/dormoused.service")
        for place in try UnitFile("\(units)/dormoused.socket")["ListenStream"] {
            if place.hasPrefix("/") {
                let path = "\(self.folder)/\(place.split(separator: "/").last ?? "socket")"
                self.sockets.append(try Sockets.listen(unix: path))
                self.uris.append("unix:\(path)")
            } else {
                let (descriptor, port) = try Sockets.listen(
                    tcp: String(place.split(separator: ":")[0]))
                self.sockets.append(descriptor)
                self.uris.append("dormouse://127.0.0.1:\(port)")
            }
        }
    }

    func destroy() {
        self.child?.destroy()
        for socket in self.sockets { close(socket) }
        Folder.remove(self.folder)
    }

    /// Starts the unit's command line, below `root` or from where the tests' programs are. `environment` is what the
    /// unit's environment file would say; the values of the service manager's own variables may be replaced by it.
    @discardableResult
    func start(
        _ environment: [String: String], flags: [String] = [], root: String? = nil,
        sockets: [Int32]? = nil, errors: Int32? = nil, wrapper: [String] = []
    ) throws -> Child {
        var command = (self.service["ExecStart"].last ?? "").split(separator: " ").map(String.init)
        guard command.first == "/usr/bin/dormoused" else {
            throw Problem("the unit starts \(command)")
        }
        command[0] = root.map { $0 + command[0] } ?? "\(Server.binaries)/dormoused"
        let passed = sockets ?? self.sockets
        var variables = [
            "NOTIFY_SOCKET": self.notify.path, "LISTEN_FDS": "\(passed.count)",
            "LISTEN_FDNAMES": passed.map { _ in "client" }.joined(separator: ":"),
        ]
        variables.merge(environment) { $1 }
        // The numbers of the process are known to itself only.
        let ownNumber = [
            "/bin/sh", "-c",
            "export LISTEN_PID=${LISTEN_PID-$$} WATCHDOG_PID=${WATCHDOG_PID-$$}; exec \"$@\"", "sh",
        ]
        self.notify.forget()
        let child = try Child(
            wrapper + ownNumber + command + flags, in: self.folder, label: "dormoused",
            environment: variables, descriptors: passed, errors: errors)
        self.child = child
        return child
    }

    func waitUntilReady() throws {
        do {
            _ = try self.notify.wait(for: "READY=1")
        } catch {
            throw Problem("\(error): \(self.child?.errors.suffix(2000) ?? "")")
        }
    }
}

/// Listening sockets of the test itself.
enum Sockets {
    /// High numbers: they do not collide with those that children get.
    private static let least: Int32 = 200

    static func listen(tcp host: String) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr(host)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                Glibc.bind(descriptor, pointer, length) == 0
                    && Glibc.listen(descriptor, 4096) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard code else { throw Problem("cannot listen on \(host): \(errno)") }
        return (fcntl(descriptor, F_DUPFD_CLOEXEC, Self.least), UInt16(bigEndian: address.sin_port))
    }

    static func listen(unix path: String) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        try Self.bind(descriptor, path)
        guard Glibc.listen(descriptor, 4096) == 0 else { throw Problem("cannot listen: \(errno)") }
        return fcntl(descriptor, F_DUPFD_CLOEXEC, Self.least)
    }

    static func bind(_ descriptor: Int32, _ path: String) throws {
        guard Self.with(path, { Glibc.bind(descriptor, $0, $1) }) == 0 else {
            throw Problem("cannot bind \(path): \(errno)")
        }
    }

    /// A connection to this port of this machine.
    static func connect(port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard Self.connect(descriptor, port: port) == 0 else {
            close(descriptor)
            throw Problem("cannot connect to port \(port): \(errno)")
        }
        return descriptor
    }

    /// The error number, or 0.
    private static func connect(_ descriptor: Int32, port: UInt16) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = port.bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                    ? 0 : errno
            }
        }
    }

    /// Connects and hangs up. The error number, or 0.
    static func knock(_ uri: String) -> Int32 {
        let isUnix = uri.hasPrefix("unix:")
        let descriptor = socket(isUnix ? AF_UNIX : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        if isUnix {
            let path = String(uri.dropFirst("unix:".count))
            return Self.with(path, { Glibc.connect(descriptor, $0, $1) }) == 0 ? 0 : errno
        }
        return Self.connect(
            descriptor, port: uri.split(separator: ":").last.flatMap { UInt16($0) } ?? 0)
    }

    private static func with(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
