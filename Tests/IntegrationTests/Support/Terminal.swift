import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A program on a terminal of its own: what a person would see, and what a person types.
final class Terminal {
    private let master: Int32
    private let process: pid_t
    // What glibc's headers hide from Swift. Source: asm-generic/ioctls.h (TIOCSPTLCK, TIOCGPTN) and
    // spawn.h (POSIX_SPAWN_SETSID).
    private static let unlock: UInt = 0x4004_5431
    private static let slaveNumber: UInt = 0x8004_5430
    private static let newSession: Int32 = 0x80
    private(set) var shown = ""
    private var bytes: [UInt8] = []
    private let rows: Int
    private let columns: Int
    private var end: Child.End?

    init(
        _ command: [String], environment: [String: String] = [:], rows: UInt16 = 24,
        columns: UInt16 = 80
    ) throws {
        (self.rows, self.columns) = (Int(rows), Int(columns))
        self.master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var (number, lock): (Int32, Int32) = (0, 0)
        guard self.master >= 0, ioctl(self.master, Self.unlock, &lock) == 0,
            ioctl(self.master, Self.slaveNumber, &number) == 0
        else { throw Problem("there is no terminal to be had: \(errno)") }
        let path = "/dev/pts/\(number)"
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(self.master, UInt(TIOCSWINSZ), &size)
        _ = fcntl(self.master, F_SETFL, O_NONBLOCK)
        _ = fcntl(self.master, F_SETFD, FD_CLOEXEC)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // The first terminal that the leader of a session opens becomes its own.
        for descriptor in 0...2 as ClosedRange<Int32> {
            posix_spawn_file_actions_addopen(&actions, descriptor, path, O_RDWR, 0)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(
            &attributes, Int16(Int32(POSIX_SPAWN_SETSIGMASK) | Self.newSession))
        var variables = Child.environment.merging(["TERM": "xterm-256color", "NO_COLOR": ""]) { $1 }
        variables.merge(environment) { $1 }
        var process: pid_t = 0
        let code = Child.withPointers(command) { arguments in
            Child.withPointers(variables.map { "\($0)=\($1)" }) { variables in
                posix_spawn(&process, command[0], &actions, &attributes, arguments, variables)
            }
        }
        self.process = process
        guard code == 0 else {
            close(self.master)
            throw Problem("cannot start \(command[0]): \(code)")
        }
    }

    deinit {
        if self.end == nil {
            kill(self.process, SIGKILL)
            var status: Int32 = 0
            waitpid(self.process, &status, 0)
        }
        close(self.master)
    }

    func type(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { write(self.master, $0.baseAddress, $0.count) }
    }

    /// Waits until the terminal has shown this.
    func waitFor(_ text: String) throws {
        do {
            try eventually("the terminal shows this") {
                self.read()
                return self.shown.contains(text)
            }
        } catch {
            throw Problem(
                "the terminal does not show \(text.debugDescription), but "
                    + self.shown.suffix(1000).debugDescription)
        }
    }

    /// What stands on the screen now.
    var display: Display {
        var display = Display(rows: self.rows, columns: self.columns)
        display.write(self.shown)
        return display
    }

    /// Waits until the whole screen is this, but for what `steady` makes the same in every run.
    func waitForScreen(_ text: String, steady: (String) -> String) throws {
        do {
            try eventually("the screen is this") {
                self.read()
                return steady(self.display.text) == text
            }
        } catch {
            throw Problem("the screen is not\n\(text)\nbut\n\(steady(self.display.text))")
        }
    }

    func wait() throws -> Child.End {
        try eventually("the program on the terminal has ended") { () -> Child.End? in
            self.read()
            var status: Int32 = 0
            guard waitpid(self.process, &status, WNOHANG) == self.process else { return nil }
            self.read()
            let signal = status & 0x7F
            let end: Child.End = signal == 0 ? .exit((status >> 8) & 0xFF) : .signal(signal)
            self.end = end
            return end
        }
    }

    private func read() {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = bytes.withUnsafeMutableBytes { buffer in
                #if canImport(Darwin)
                    Darwin.read(self.master, buffer.baseAddress, buffer.count)
                #else
                    Glibc.read(self.master, buffer.baseAddress, buffer.count)
                #endif
            }
            guard count > 0 else { return }
            // All of them anew: what was read may end within a character.
            self.bytes += bytes.prefix(count)
            self.shown = String(decoding: self.bytes, as: UTF8.self).replacing("\r\n", with: "\n")
        }
    }
}
