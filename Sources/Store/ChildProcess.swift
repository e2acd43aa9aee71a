import Core
import Glibc

/// Runs a program to its end: no input, output captured, none of our Postgres settings inherited.
///
/// Not Foundation's `Process`: that one waits until everything that inherited from the child has
/// ended too, which for `pg_ctl start` is the server itself.
struct ChildProcess {
    struct Outcome {
        let code: Int32
        let output: String
    }

    /// The user to run as, when we are root; nil: as ourselves.
    let user: SystemUser?

    /// What stays in the background after the program must have an output of its own.
    func run(_ program: String, _ arguments: [String]) throws(Failure) -> Outcome {
        var command = [program] + arguments
        if let user = self.user {
            command =
                [
                    "/usr/bin/setpriv", "--reuid=\(user.id)", "--regid=\(user.group)",
                    "--clear-groups", "--",
                ] + command
        }
        // A pair of sockets and not a pipe: only these can be made close-on-exec in one step.
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw Self.failure(program, errno)
        }
        defer { close(ends[0]) }
        var process: pid_t = 0
        let code = Self.spawn(command, output: ends[1], &process)
        close(ends[1])
        guard code == 0 else { throw Self.failure(program, code) }
        let output = Self.readAll(ends[0])
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 {
            guard errno == EINTR else { throw Self.failure(program, errno) }
        }
        // Source: wait(2): the exit code is in the second byte, a signal's number in the first.
        let exitCode = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
        return Outcome(code: exitCode, output: String(decoding: output, as: UTF8.self))
    }

    private static func spawn(_ command: [String], output: Int32, _ process: inout pid_t) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The child's signals are its own: nothing blocked, and a group that our terminal's Ctrl-C
        // does not reach.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        return Self.withPointers(command) { arguments in
            Self.withPointers(Self.environment) { environment in
                posix_spawn(&process, command[0], &actions, &attributes, arguments, environment)
            }
        }
    }

    private static func readAll(_ descriptor: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count > 0 {
                bytes += buffer[..<count]
            } else if count == 0 || errno != EINTR {
                return bytes
            }
        }
    }

    /// Lends the strings as a list that ends with nil, in memory of its own.
    private static func withPointers<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }

    /// Postgres allocates a chunk several times on its way, and glibc would ask the kernel for each of
    /// these and give it back, a page fault for each 4 KiB. 8 MiB is the largest frame; up to four of
    /// them stay with each of our few backends. Source: mallopt(3).
    private static let memory = [
        "MALLOC_MMAP_THRESHOLD_=\(8 << 20)", "MALLOC_TRIM_THRESHOLD_=\(32 << 20)",
    ]

    private static var environment: [String] {
        var result = ["LC_ALL=C"]
        var entry = environ
        while let text = entry.pointee {
            let variable = String(cString: text)
            if !variable.hasPrefix("PG"), !variable.hasPrefix("LC_ALL=") { result.append(variable) }
            entry += 1
        }
        // What our operator says of it counts.
        return Self.memory.contains { getenv(Self.name($0)) != nil } ? result : result + Self.memory
    }

    private static func name(_ variable: String) -> String {
        String(variable.prefix { $0 != "=" })
    }

    private static func failure(_ program: String, _ code: Int32) -> Failure {
        Failure(
            .failedPrecondition, "\(program) could not be run; check the installation",
            underlying: String(cString: strerror(code)))
    }
}

/// A user of this machine.
struct SystemUser: Hashable, Sendable {
    let name: String
    let id: uid_t
    let group: gid_t

    static func named(_ name: String) -> SystemUser? {
        guard let entry = getpwnam(name) else { return nil }
        return SystemUser(name: name, id: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
    }
}
