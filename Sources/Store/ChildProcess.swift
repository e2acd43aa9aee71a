import Core
import Foundation

/// Runs a program to its end: no input, output captured, none of our Postgres settings inherited.
struct ChildProcess {
    struct Outcome {
        let code: Int32
        let output: String
    }

    /// The user to run as, when we are root; nil: as ourselves.
    let user: SystemUser?

    func run(_ program: String, _ arguments: [String]) throws(Failure) -> Outcome {
        let process = Process()
        if let user = self.user {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/setpriv")
            process.arguments =
                ["--reuid=\(user.id)", "--regid=\(user.group)", "--clear-groups", "--", program]
                + arguments
        } else {
            process.executableURL = URL(fileURLWithPath: program)
            process.arguments = arguments
        }
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.environment = Self.environment
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        do {
            try process.run()
        } catch {
            throw Failure(
                .failedPrecondition, "\(program) could not be started; check the installation",
                underlying: "\(error)")
        }
        // Ends when the program and everything that kept its output have ended: what stays in the
        // background must have an output of its own.
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            code: process.terminationStatus, output: String(decoding: bytes, as: UTF8.self))
    }

    private static var environment: [String: String] {
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") }
        environment["LC_ALL"] = "C"
        return environment
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
