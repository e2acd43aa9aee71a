import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A program that was started. Its output goes to files: nobody has to read them for it to go on,
/// and nothing that it leaves running holds an end of a pipe.
final class Child {
    enum End: Equatable {
        case exit(Int32)
        case signal(Int32)
    }

    let process: pid_t
    let outputPath: String
    let errorsPath: String
    private(set) var end: End?

    /// `label` names the files in `folder`, which must exist. As root, `user` is whom to run as. It gets `descriptors`
    /// as 3 and up, and standard error in `errors` instead of a file when that is given.
    init(
        _ command: [String], in folder: String, label: String, inputPath: String = "/dev/null",
        environment: [String: String] = [:], user: String? = nil, descriptors: [Int32] = [],
        errors: Int32? = nil
    ) throws {
        self.outputPath = "\(folder)/\(label).out"
        self.errorsPath = "\(folder)/\(label).err"
        var command = command
        if let user {
            command =
                [
                    "/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups",
                    "--",
                ] + command
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_TRUNC
        posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, self.outputPath, flags, 0o644)
        if let errors {
            posix_spawn_file_actions_adddup2(&actions, errors, 2)
        } else {
            posix_spawn_file_actions_addopen(&actions, 2, self.errorsPath, flags, 0o644)
        }
        for (index, descriptor) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(3 + index))
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A group of its own: a Ctrl-C at the terminal ends the tests, which end their children.
        // And no blocked signals: the threads that tests run on block most.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        let variables = Self.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
        var process: pid_t = 0
        let code = Self.withPointers(command) { arguments in
            Self.withPointers(variables) { variables in
                posix_spawn(&process, command[0], &actions, &attributes, arguments, variables)
            }
        }
        guard code == 0 else {
            throw Problem("cannot start \(command[0]): \(String(cString: strerror(code)))")
        }
        self.process = process
    }

    var output: String { Folder.text(self.outputPath) }
    var errors: String { Folder.text(self.errorsPath) }

    var isRunning: Bool { self.look() == nil }

    func signal(_ signal: Int32) {
        if self.isRunning { kill(self.process, signal) }
    }

    @discardableResult
    func wait(seconds: Double = 60) throws -> End {
        try eventually("process \(self.process) has ended", seconds: seconds) { self.look() }
    }

    /// Ends it without ceremony, if it still runs.
    func destroy() {
        guard self.isRunning else { return }
        kill(self.process, SIGKILL)
        var status: Int32 = 0
        while waitpid(self.process, &status, 0) < 0, errno == EINTR {}
        self.end = .signal(SIGKILL)
    }

    private func look() -> End? {
        if let end = self.end { return end }
        var status: Int32 = 0
        guard waitpid(self.process, &status, WNOHANG) == self.process else { return nil }
        // Source: wait(2): the exit code is in the second byte, a signal's number in the first.
        let signal = status & 0x7F
        self.end = signal == 0 ? .exit((status >> 8) & 0xFF) : .signal(signal)
        return self.end
    }

    /// Ours, without what could configure the programs under test.
    static let environment = ProcessInfo.processInfo.environment.filter { name, _ in
        !name.hasPrefix("DORMOUSE_") && !name.hasPrefix("PG") && name != "LC_ALL"
    }.merging(["LC_ALL": "C"]) { $1 }

    static func withPointers<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }
}

/// Runs a program to its end.
enum Command {
    struct Outcome {
        let end: Child.End
        let output: String
        let errors: String
    }

    static func run(
        _ command: [String], input: String = "", environment: [String: String] = [:],
        user: String? = nil, seconds: Double = 60
    ) throws -> Outcome {
        let folder = try Folder.make()
        defer { Folder.remove(folder) }
        let inputPath = "\(folder)/input"
        try Data(input.utf8).write(to: URL(fileURLWithPath: inputPath))
        let child = try Child(
            command, in: folder, label: "command", inputPath: inputPath, environment: environment,
            user: user)
        defer { child.destroy() }
        let end = try child.wait(seconds: seconds)
        return Outcome(end: end, output: child.output, errors: child.errors)
    }

    /// Runs it and expects success.
    @discardableResult
    static func check(
        _ command: [String], input: String = "", environment: [String: String] = [:],
        user: String? = nil, seconds: Double = 120
    ) throws -> String {
        let outcome = try Self.run(
            command, input: input, environment: environment, user: user, seconds: seconds)
        guard outcome.end == .exit(0) else {
            throw Problem(
                "\(command.joined(separator: " ")) ended with \(outcome.end): "
                    + "\(outcome.errors)\(outcome.output.suffix(2000))")
        }
        return outcome.output
    }
}
