#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Runs what looks at a server: once, or with --watch again and again.
enum Watch {
    static let option = CommandOption(
        optionalValue: "watch", "DURATION", "show it anew every 2s, or so often; Ctrl-C ends")

    private static let secondsDefault: UInt64 = 2
    private static let millisecondsMin: UInt64 = 100

    /// `look` makes the lines. On a terminal each look replaces the one before; in a pipe they follow
    /// one another. A connection that is lost is made again while watching.
    static func run(
        _ invocation: Invocation,
        _ look: (Connection, Show) throws(CommandFailure) -> [String]
    ) throws(CommandFailure) -> ExitCode {
        let period = try Self.period(invocation)
        let connection = try Connection(invocation, reconnects: period != nil)
        let output = Output()
        guard let period else {
            for line in try look(connection, Show(invocation, output)) { try output.write(line) }
            try output.flush()
            return .success
        }
        let interrupts = try Interrupts()
        while true {
            let show = Show(invocation, output)
            var lines = try look(connection, show)
            if show.isTerminal {
                lines = Screen.fitted(lines, Screen.size)
                try output.write(lines: Screen.frame(lines))
            } else {
                for line in lines { try output.write(line) }
            }
            try output.flush()
            if let exit = Self.wait(interrupts, period) { return exit }
        }
    }

    /// Milliseconds; nil: once.
    private static func period(_ invocation: Invocation) throws(CommandFailure) -> UInt64? {
        guard invocation.has("watch") else { return nil }
        let period = try invocation.duration("watch") ?? Self.secondsDefault * 1000
        guard period >= Self.millisecondsMin else {
            throw .usage("--watch is shorter than \(Self.millisecondsMin)ms")
        }
        return period
    }

    /// The exit code when a signal came meanwhile.
    static func wait(_ interrupts: Interrupts, _ milliseconds: UInt64) -> ExitCode? {
        var watched = pollfd(fd: interrupts.descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&watched, 1, Int32(clamping: milliseconds))
        return interrupts.take()
    }
}

/// A terminal as a screen. Source of the sequences: ECMA-48, and xterm's control sequences for 1049.
enum Screen {
    struct Size: Hashable {
        var rows: Int
        var columns: Int
    }

    static var size: Size { Self.size(of: STDOUT_FILENO) }

    static func size(of descriptor: Int32) -> Size {
        var window = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0, window.ws_row > 0,
            window.ws_col > 0
        else { return Size(rows: 24, columns: 80) }
        return Size(rows: Int(window.ws_row), columns: Int(window.ws_col))
    }

    /// What goes on the screen, the last row left free for the cursor.
    static func fitted(_ lines: [String], _ size: Size) -> [String] {
        lines.prefix(size.rows - 1).map { Self.cut($0, size.columns) }
    }

    /// As many characters as fit; colours take no room, and end with the line.
    static func cut(_ line: String, _ columns: Int) -> String {
        var cut = ""
        var count = 0
        var isEscape = false
        var hasEscape = false
        for scalar in line.unicodeScalars {
            if scalar == "\u{1B}" {
                isEscape = true
                hasEscape = true
            } else if !isEscape {
                if count == columns { continue }
                count += 1
            }
            cut.unicodeScalars.append(scalar)
            if isEscape, scalar.properties.isAlphabetic { isEscape = false }
        }
        return hasEscape ? cut + "\u{1B}[0m" : cut
    }

    /// From the top left corner, line by line, so that nothing flickers; what was below goes away.
    static func frame(_ lines: [String]) -> [UInt8] {
        Array(("\u{1B}[H" + lines.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J").utf8)
    }

    static let enter: StaticString = "\u{1B}[?1049h\u{1B}[?25l"
    static let leave: StaticString = "\u{1B}[?25h\u{1B}[?1049l"
}
