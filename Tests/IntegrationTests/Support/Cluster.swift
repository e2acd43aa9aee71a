import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A database: how to reach it and how to ask it.
struct Database: Sendable {
    /// For `--database` and for psql.
    let conninfo: String

    /// Rows as lines, columns separated by `|`, without decoration.
    @discardableResult
    func query(_ sql: String) throws -> String {
        let output = try Command.check([
            "\(Postgres.binaries)/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo,
            "-c", sql,
        ])
        return output.hasSuffix("\n") ? String(output.dropLast()) : output
    }

    func number(_ sql: String) throws -> Int {
        let text = try self.query(sql)
        guard let number = Int(text) else { throw Problem("'\(sql)' is '\(text)', not a number") }
        return number
    }
}

/// The installed Postgres.
enum Postgres {
    static let binaries: String = {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        if let newest = versions.compactMap({ Int($0) }).max() { return "\(root)/\(newest)/bin" }
        let found = try? Command.check(["/usr/bin/env", "pg_config", "--bindir"])
        return found?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "/usr/bin"
    }()

    /// Postgres refuses to run as root.
    static let user: String? = geteuid() == 0 ? "postgres" : nil

    /// The postmaster whose data is in `cluster`; nil when none runs.
    static func postmaster(_ cluster: String) -> pid_t? {
        let process = Folder.text("\(cluster)/postmaster.pid").split(separator: "\n").first
            .flatMap { pid_t($0) }
        return process.flatMap { Self.isPostmaster($0, of: cluster) ? $0 : nil }
    }

    /// The number in the file may be another process's by now, or one of another namespace: only
    /// what was started for this cluster counts. One that has ended has no command line.
    private static func isPostmaster(_ process: pid_t, of cluster: String) -> Bool {
        guard process > 1, kill(process, 0) == 0 else { return false }
        #if os(Linux)
            let command = Folder.text("/proc/\(process)/cmdline")
            return command.contains("postgres\0") && command.contains("\0\(cluster)\0")
        #else
            return true
        #endif
    }

    static func children(of postmaster: pid_t) throws -> [pid_t] {
        let entries = try FileManager.default.contentsOfDirectory(atPath: "/proc")
        return entries.compactMap { pid_t($0) }.filter { process in
            let status = Folder.text("/proc/\(process)/status").split(separator: "\n")
            return status.contains("PPid:\t\(postmaster)")
        }
    }

    /// It serves a connection, which its command line tells: "postgres: user database [local] idle".
    static func isBackend(_ process: pid_t) -> Bool {
        Folder.text("/proc/\(process)/cmdline").contains(" [local] ")
    }

    /// Ends it without ceremony.
    static func destroy(_ cluster: String) {
        guard let process = Self.postmaster(cluster) else { return }
        kill(process, SIGQUIT)
        let deadline = uptime + 10
        while Self.isPostmaster(process, of: cluster), uptime < deadline { usleep(3_000) }
        if Self.isPostmaster(process, of: cluster) { kill(process, SIGKILL) }
    }
}

/// A Postgres that belongs to the tests, with its real promises: nothing is switched off.
final class Cluster: Sendable {
    let folder: String
    private let counter = Locked(0)
    private let frozen = Locked<[pid_t]>([])

    var data: String { "\(self.folder)/data" }

    /// `settings` are lines of postgresql.conf.
    init(settings: String = "") throws {
        self.folder = try Folder.make()
        if let user = Postgres.user {
            try Command.check(["/bin/chown", user, self.folder])
        }
        try self.run(
            "initdb",
            [
                "-D", self.data, "-U", "dormouse", "-E", "UTF8", "--locale=C", "--auth=trust",
                "--no-instructions",
            ])
        let all = """
            listen_addresses = ''
            unix_socket_directories = '\(self.folder)'
            max_connections = 50
            \(settings)

            """
        let path = "\(self.folder)/settings.conf"
        try Data(all.utf8).write(to: URL(fileURLWithPath: path))
        try Command.check(
            ["/bin/cp", path, "\(self.data)/postgresql.auto.conf"], user: Postgres.user)
        try self.start()
    }

    /// Stops every process of it where it stands: nothing is answered, and no connection breaks.
    /// `backends`: only those that serve connections.
    func freeze(backends: Bool = false) throws {
        guard let postmaster = Postgres.postmaster(self.data) else {
            throw Problem("there is no Postgres to freeze")
        }
        // The postmaster first: one that it makes meanwhile would go on.
        var chosen = backends ? [] : [postmaster]
        for process in chosen { kill(process, SIGSTOP) }
        let all = try Postgres.children(of: postmaster)
        let others = backends ? all.filter(Postgres.isBackend) : all
        for process in others { kill(process, SIGSTOP) }
        chosen += others
        self.frozen.withLock { $0 += chosen }
    }

    func thaw() {
        let processes = self.frozen.withLock { frozen in
            defer { frozen = [] }
            return frozen
        }
        for process in processes { kill(process, SIGCONT) }
    }

    /// kill -9 of a process that serves a connection. All others end with it, and Postgres recovers.
    func killBackend() throws {
        guard let postmaster = Postgres.postmaster(self.data),
            let victim = try Postgres.children(of: postmaster).first(where: Postgres.isBackend)
        else { throw Problem("there is no process to kill") }
        kill(victim, SIGKILL)
    }

    func destroy() {
        self.thaw()
        Postgres.destroy(self.data)
        Folder.remove(self.folder)
    }

    func start() throws {
        do {
            try self.run("pg_ctl", ["-D", self.data, "-w", "-l", "\(self.folder)/log", "start"])
        } catch {
            throw Problem("\(error)\n\(Folder.text("\(self.folder)/log").suffix(2_000))")
        }
    }

    func stop(_ mode: String) throws {
        try self.run("pg_ctl", ["-D", self.data, "-w", "-m", mode, "stop"])
    }

    func conninfo(_ database: String) -> String {
        "host='\(self.folder)' port=5432 user=dormouse dbname=\(database)"
    }

    /// A new, empty database.
    func makeDatabase() throws -> Database {
        let number = self.counter.withLock { number in
            number += 1
            return number
        }
        try Database(conninfo: self.conninfo("postgres")).query("CREATE DATABASE test\(number)")
        return Database(conninfo: self.conninfo("test\(number)"))
    }

    private func run(_ program: String, _ arguments: [String]) throws {
        try Command.check(["\(Postgres.binaries)/\(program)"] + arguments, user: Postgres.user)
    }

    // MARK: For everybody

    private static let made = Locked<Cluster?>(nil)

    /// One for all tests that do it no harm; it goes when the process ends.
    static func shared() throws -> Cluster {
        try Self.made.withLock { made in
            if let made { return made }
            let cluster = try Cluster()
            made = cluster
            atexit { Cluster.made.current?.destroy() }
            return cluster
        }
    }
}
