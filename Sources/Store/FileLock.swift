import Core
import Glibc

/// An exclusive lock between processes; the system frees it when its holder dies.
enum FileLock {
    /// Runs `body` while nobody else holds the lock on the file at `path`, which is made if needed.
    static func hold<Result>(_ path: String, _ body: () throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure(path) }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX) == 0 else { throw Self.failure(path) }
        return try body()
    }

    private static func failure(_ path: String) -> Failure {
        Failure(.failedPrecondition, "cannot lock \(path): \(String(cString: strerror(errno)))")
    }
}
