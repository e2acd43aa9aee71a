import Core
import Foundation

/// A program that this one has started, in a process group of its own.
final class Child {
    let name: String
    private let process = Process()
    private let pidFile: String
    private let log: String

    /// What it prints goes to `NAME.log` in `folder`; its process id to `NAME.pid`, so that a script
    /// can end it when we cannot.
    init(
        _ name: String, _ program: String, _ arguments: [String], folder: String,
        environment: [String: String] = [:]
    ) throws(Failure) {
        self.name = name
        self.pidFile = "\(folder)/\(name).pid"
        self.log = "\(folder)/\(name).log"
        self.process.executableURL = URL(fileURLWithPath: program)
        self.process.arguments = arguments
        self.process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        guard FileManager.default.createFile(atPath: self.log, contents: nil),
            let output = FileHandle(forWritingAtPath: self.log)
        else {
            throw Failure(.internal, "cannot write \(self.log)")
        }
        self.process.standardInput = FileHandle.nullDevice
        self.process.standardOutput = output
        self.process.standardError = output
        do {
            try self.process.run()
            try "\(self.process.processIdentifier)".write(
                toFile: self.pidFile, atomically: true, encoding: .utf8)
        } catch {
            throw Failure(.unavailable, "cannot start \(program)", underlying: "\(error)")
        }
    }

    var id: Int32 { self.process.processIdentifier }
    var isRunning: Bool { self.process.isRunning }

    /// Waits until it accepts connections on `port`.
    func waitForPort(_ port: UInt16, seconds limit: Double = 60) throws(Failure) {
        let end = seconds() + limit
        while seconds() < end, self.process.isRunning {
            if let descriptor = try? Link.connect(port) {
                close(descriptor)
                return
            }
            usleep(5_000)
        }
        let log = (try? String(contentsOfFile: self.log, encoding: .utf8)) ?? ""
        throw Failure(
            .unavailable, "\(self.name) does not listen on port \(port)",
            underlying: String(log.split(separator: "\n").last ?? ""))
    }

    /// Asks it to end and waits until it has.
    func stop() {
        if self.process.isRunning { self.process.terminate() }
        self.process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: self.pidFile)
    }

    /// Ends it and all that it has started, at once. What it stored is of no use to anybody.
    func kill() {
        #if canImport(Darwin)
            Darwin.kill(-self.id, SIGKILL)
        #else
            Glibc.kill(-self.id, SIGKILL)
        #endif
        self.process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: self.pidFile)
    }
}

/// What the kernel counts about processes.
enum Kernel {
    /// Resident memory in bytes.
    static func resident(_ process: Int32) -> Int {
        let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("VmRSS:") {
            return (Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0) << 10
        }
        return 0
    }

    /// Processor seconds that a process has used, and those that it has started.
    static func processorSeconds(_ process: Int32, withChildren: Bool = true) -> Double {
        var ticks = 0
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        for id in all.compactMap({ Int32($0) }) {
            let text = (try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8)) ?? ""
            // After the name in parentheses: state, parent, …, user and system ticks as 12th and 13th.
            let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
            let isChild = fields.count > 13 && withChildren && Int32(fields[1]) == process
            guard fields.count > 13, id == process || isChild else { continue }
            // The next two are those of children that have ended.
            for field in fields[11...(isChild || !withChildren ? 12 : 14)] {
                ticks += Int(field) ?? 0
            }
        }
        return Double(ticks) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}
