import Core
import Glibc

/// The folders of a private instance: `<data>/postgres` (the cluster) and the one with its socket.
struct PostgresFolders: Sendable {
    let base: String
    let socket: String
    /// Whom the server runs as, when we are root.
    let user: SystemUser?

    var cluster: String { self.base + "/postgres" }
    /// Where initdb works, so that an interrupted one is never taken for a cluster.
    var unfinished: String { self.base + "/postgres.new" }
    var lock: String { self.base + "/lock" }

    var child: ChildProcess { ChildProcess(user: self.user) }

    /// Postgres' socket in a folder: "/.s.PGSQL.5432" and the final zero within 108 bytes.
    private static let socketFolderBytesMax = 107 - "/.s.PGSQL.5432".utf8.count

    /// Finds and makes the folders below `data`, or the ones to use instead, and says so.
    static func prepare(data: String, report: (String) -> Void) throws(Failure) -> PostgresFolders {
        let path = FileSystem.absolute(data)
        guard geteuid() == 0 else {
            try Self.makeFolder(path, mode: 0o700, owner: nil)
            return try PostgresFolders(base: path, user: nil)
        }
        guard let user = SystemUser.named("postgres") else {
            throw Failure(
                .failedPrecondition,
                "there is no user 'postgres', and Postgres does not run as root; install "
                    + "postgresql, run as another user, or name a database with --database")
        }
        let substitute = "/var/lib/dormouse/" + Self.label(path)
        if !FileSystem.exists(substitute + "/postgres") {
            try Self.makeFolder(path, mode: 0o711, owner: nil)
            let folders = try PostgresFolders(base: path, user: user)
            if try folders.isReachable() { return folders }
        }
        report(
            "the user postgres cannot reach \(path); the database is in \(substitute) instead")
        try Self.makeFolder(substitute, mode: 0o711, owner: nil)
        return try PostgresFolders(base: substitute, user: user)
    }

    private init(base: String, user: SystemUser?) throws(Failure) {
        self.base = base
        self.user = user
        let usual = base + "/run"
        if usual.utf8.count <= Self.socketFolderBytesMax, !usual.contains(",") {
            self.socket = usual
            try Self.makeFolder(usual, mode: 0o700, owner: user)
            return
        }
        // A socket's path must be short; a folder of ours under a short path holds it instead.
        let runtime = user == nil ? getenv("XDG_RUNTIME_DIR").map { String(cString: $0) } : nil
        let short =
            (runtime ?? "/tmp")
            + "/dormouse-\(geteuid())-\(String(fingerprint(base.utf8), radix: 16))"
        guard short.utf8.count <= Self.socketFolderBytesMax else {
            throw Failure(
                .failedPrecondition,
                "the path \(base) is too long for a unix socket (at most "
                    + "\(Self.socketFolderBytesMax) bytes); choose a shorter data folder")
        }
        self.socket = short
        try Self.makeFolder(short, mode: 0o700, owner: user)
        try Self.checkOwned(short, by: user?.id ?? geteuid())
    }

    private func isReachable() throws(Failure) -> Bool {
        try self.child.run("/usr/bin/test", ["-w", self.socket]).code == 0
    }

    /// Makes the folder with its parents; gives a new one the mode and owner.
    static func makeFolder(_ path: String, mode: mode_t, owner: SystemUser?) throws(Failure) {
        let parent = FileSystem.parent(of: path)
        if parent != path, !FileSystem.exists(parent) {
            try Self.makeFolder(parent, mode: owner == nil ? mode : 0o711, owner: nil)
        }
        guard mkdir(path, mode) == 0 else {
            if errno == EEXIST { return }
            throw Self.failure("make the folder \(path)")
        }
        // Without the process's umask.
        guard chmod(path, mode) == 0 else { throw Self.failure("set the mode of \(path)") }
        if let owner {
            guard chown(path, owner.id, owner.group) == 0 else {
                throw Self.failure("give \(path) to \(owner.name)")
            }
        }
    }

    /// In a folder that everybody may write to, somebody else may have been faster.
    private static func checkOwned(_ path: String, by owner: uid_t) throws(Failure) {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw Self.failure("look at \(path)") }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == owner,
            status.st_mode & 0o077 == 0
        else {
            throw Failure(
                .failedPrecondition,
                "\(path) is not a folder that belongs to user \(owner) alone; remove it, or choose a "
                    + "shorter data folder")
        }
    }

    static func failure(_ what: String) -> Failure {
        Failure(
            .failedPrecondition, "cannot \(what): \(String(cString: strerror(errno)))")
    }

    /// A name for a path: readable, and with a hash, so that two paths do not share one.
    private static func label(_ path: String) -> String {
        let words = path.split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }
        return words.suffix(4).joined(separator: "-").suffix(48) + "-"
            + String(fingerprint(path.utf8), radix: 16)
    }
}
