import CLibPQ
import Channels
package import Core
import Glibc

// 1. `<data>/postgres` is a cluster of its own, reachable only through a unix socket in a folder
//    that only its user can enter.
// 2. The server outlives us: when we were killed, the next start finds it running and goes on with
//    it. `ensureRunning` may be called at any time, also after the server was killed.
// 3. initdb works in a folder of another name, which is renamed when it is done.

/// A Postgres server of our own, for those who name no database.
package actor PrivatePostgres {
    /// How to reach it.
    package struct Address: Hashable, Sendable {
        /// For `ConnectionSettings`.
        package let conninfo: String
        /// A command line for people.
        package let psql: String
        /// Where the server's own log is.
        package let logFolder: String
        package let dataFolder: String
    }

    private nonisolated let executor = ThreadExecutor(name: "private-postgres")
    private let data: String
    private let report: @Sendable (String) -> Void
    private var folders: PostgresFolders?
    /// The cluster's folder, once it is known, for `stopAtOnce`.
    private nonisolated let cluster = Lock<String?>(nil)
    private var isDatabaseMade = false

    /// For at most this long a start is tried again: the processes of a server that was killed need
    /// a moment to notice, and hold its shared memory until then.
    private static let startMax = Duration.seconds(20)
    /// And for this long a server that replays its log after a crash is waited for.
    private static let recoveryMax = Duration.seconds(600)

    /// `data` is the folder for everything; it is made when needed. `report` gets lines for people.
    package init(data: String, report: @escaping @Sendable (String) -> Void) {
        self.data = data
        self.report = report
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        self.executor.asUnownedSerialExecutor()
    }

    /// Makes the cluster and starts the server where that has not happened yet. Cheap when it runs.
    @discardableResult
    package func ensureRunning() throws(Failure) -> Address {
        let folders = try self.preparedFolders()
        return try FileLock.hold(folders.lock) { () throws(Failure) in
            try self.ensureRunning(folders)
        }
    }

    private func ensureRunning(_ folders: PostgresFolders) throws(Failure) -> Address {
        if Self.ping(folders) != PQPING_OK {
            let binaries = try self.cluster(folders)
            try self.start(folders, binaries)
            self.isDatabaseMade = false
        }
        if !self.isDatabaseMade {
            try Self.makeDatabase(folders)
            self.isDatabaseMade = true
        }
        return Self.address(folders)
    }

    /// Ends the server's connections, then the server, after a checkpoint.
    package func stop() throws(Failure) {
        let folders = try self.preparedFolders()
        try FileLock.hold(folders.lock) { () throws(Failure) in try Self.stop(folders) }
    }

    private static func stop(_ folders: PostgresFolders) throws(Failure) {
        guard let version = Self.version(of: folders.cluster) else { return }
        let binaries = try PostgresBinaries.find(version: version)
        // 3: the server does not run.
        let status = try folders.child.run(binaries.pgctl, ["-D", folders.cluster, "status"])
        if status.code == 3 { return }
        let stopped = try folders.child.run(
            binaries.pgctl, ["-D", folders.cluster, "-m", "fast", "-w", "-t", "120", "stop"])
        guard stopped.code == 0 else {
            throw Failure(
                .internal, "the private Postgres in \(folders.cluster) does not stop",
                underlying: stopped.output)
        }
    }

    /// Ends the server without a checkpoint: it loses nothing, and its next start takes longer. From
    /// any thread, for when ours is busy and nobody can wait. Returns when the server has ended, or
    /// after at most `secondsMax`.
    package nonisolated func stopAtOnce(secondsMax: Double = 3) {
        guard let cluster = self.cluster.withLock({ $0 }),
            let process = Self.postmaster(of: cluster)
        else { return }
        kill(process, SIGQUIT)
        let deadline = ContinuousClock.now + .seconds(secondsMax)
        while Self.postmaster(of: cluster) == process, ContinuousClock.now < deadline {
            usleep(10_000)
        }
    }

    /// The number in the file may be another process's by now. A postmaster works in its cluster.
    private static func postmaster(of cluster: String) -> pid_t? {
        guard let process = Self.notedProcess(cluster), kill(process, 0) == 0,
            Self.realPath("/proc/\(process)/cwd") == Self.realPath(cluster)
        else { return nil }
        return process
    }

    private static func notedProcess(_ cluster: String) -> pid_t? {
        guard let bytes = FileSystem.contents(cluster + "/postmaster.pid"),
            let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first,
            let process = pid_t(line), process > 0
        else { return nil }
        return process
    }

    /// Ends our thread, not the server.
    package nonisolated func close() {
        self.executor.stop()
    }

    private func preparedFolders() throws(Failure) -> PostgresFolders {
        if let folders = self.folders { return folders }
        let folders = try PostgresFolders.prepare(data: self.data, report: self.report)
        self.folders = folders
        self.cluster.withLock { $0 = folders.cluster }
        return folders
    }

    /// Makes the cluster when there is none, and writes our settings.
    private func cluster(_ folders: PostgresFolders) throws(Failure) -> PostgresBinaries {
        let version = Self.version(of: folders.cluster)
        let binaries = try PostgresBinaries.find(version: version)
        if version == nil {
            guard !FileSystem.exists(folders.cluster) else {
                throw Failure(
                    .failedPrecondition,
                    "\(folders.cluster) is not a Postgres cluster; move it away or choose another "
                        + "data folder")
            }
            try self.makeCluster(folders, binaries)
        }
        try PostgresConfiguration.write(folders, into: folders.cluster)
        return binaries
    }

    private func makeCluster(_ folders: PostgresFolders, _ binaries: PostgresBinaries)
        throws(Failure)
    {
        // What an interrupted attempt has left.
        if FileSystem.exists(folders.unfinished) {
            guard FileSystem.removeAll(folders.unfinished) else {
                throw PostgresFolders.failure("remove \(folders.unfinished)")
            }
        }
        try PostgresFolders.makeFolder(folders.unfinished, mode: 0o700, owner: folders.user)
        let made = try folders.child.run(
            binaries.initdb,
            [
                "-D", folders.unfinished, "-U", Self.name, "-E", "UTF8", "--locale=C",
                "--auth=trust", "--data-checksums", "--no-instructions",
            ])
        guard made.code == 0 else {
            throw Failure(
                .failedPrecondition, "initdb could not make \(folders.unfinished)",
                underlying: made.output)
        }
        try PostgresConfiguration.include(folders, into: folders.unfinished)
        guard rename(folders.unfinished, folders.cluster) == 0 else {
            throw PostgresFolders.failure("rename \(folders.unfinished)")
        }
        self.report("made a private Postgres in \(folders.cluster)")
    }

    private func start(_ folders: PostgresFolders, _ binaries: PostgresBinaries) throws(Failure) {
        let begin = ContinuousClock.now
        var pause = 0.05
        while true {
            let state = Self.ping(folders)
            if state == PQPING_OK { return }
            let elapsed = ContinuousClock.now - begin
            if state == PQPING_REJECT {
                guard elapsed < Self.recoveryMax else {
                    throw .databaseAway("the private Postgres is still recovering")
                }
            } else {
                Self.takeNoteOfEnd(folders.cluster)
                let started = try folders.child.run(
                    binaries.pgctl,
                    [
                        "-D", folders.cluster, "-l", folders.cluster + "/startup.log", "-w", "-t",
                        "600", "start",
                    ])
                if started.code == 0 { continue }
                guard elapsed < Self.startMax else {
                    throw Failure(
                        .unavailable,
                        "the private Postgres does not start; see \(folders.cluster)/startup.log "
                            + "and \(folders.cluster)/log",
                        underlying: started.output + Self.tail(folders.cluster + "/startup.log"))
                }
            }
            // Other processes end, or recover, without telling us.
            usleep(UInt32(pause * 1_000_000))
            pause = min(1, 2 * pause)
        }
    }

    /// As process 1 of a container we are the parent of every server that `pg_ctl` has left. Until
    /// its parent has asked how it ended, one that was killed counts as running, and Postgres starts
    /// no other. Where somebody else is the parent, nothing happens.
    private static func takeNoteOfEnd(_ cluster: String) {
        if let process = Self.notedProcess(cluster) { waitpid(process, nil, WNOHANG) }
    }

    // MARK: Details

    /// Of the superuser and the database. Nobody else gets into the socket's folder, so the user
    /// needs no password.
    private static let name = "dormouse"

    private static func makeDatabase(_ folders: PostgresFolders) throws(Failure) {
        let settings = try ConnectionSettings(Self.conninfo(folders, database: "postgres"))
        let connection = try PostgresConnection(settings)
        let row = try connection.execute(
            "SELECT current_setting('data_directory'), "
                + "EXISTS (SELECT FROM pg_database WHERE datname = '\(Self.name)')")
        guard realPath(row.text(0, 0)) == realPath(folders.cluster) else {
            throw Failure(
                .failedPrecondition,
                "the server on the socket in \(folders.socket) is not the one of "
                    + "\(folders.cluster); stop it")
        }
        if row.text(0, 1) == "f" { try connection.execute("CREATE DATABASE \(Self.name)") }
    }

    private static func realPath(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    private static func ping(_ folders: PostgresFolders) -> PGPing {
        PQping(Self.conninfo(folders, database: "postgres") + " connect_timeout=5")
    }

    private static func conninfo(_ folders: PostgresFolders, database: String) -> String {
        let host = folders.socket.replacing("\\", with: "\\\\")
            .replacing("'", with: "\\'")
        return "host='\(host)' port=5432 user=\(Self.name) dbname=\(database)"
    }

    private static func address(_ folders: PostgresFolders) -> Address {
        let host = folders.socket.replacing("'", with: "'\\''")
        return Address(
            conninfo: Self.conninfo(folders, database: Self.name),
            psql: "psql -h '\(host)' -p 5432 -U \(Self.name) \(Self.name)",
            logFolder: folders.cluster + "/log", dataFolder: folders.base)
    }

    private static func version(of cluster: String) -> Int? {
        guard let bytes = FileSystem.contents(cluster + "/PG_VERSION") else {
            return nil
        }
        return Int(
            String(decoding: bytes, as: UTF8.self).trimmed)
    }

    private static func tail(_ path: String) -> String {
        guard let bytes = FileSystem.contents(path) else { return "" }
        return String(decoding: bytes.suffix(1000), as: UTF8.self)
    }
}
