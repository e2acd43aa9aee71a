#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Asks before something is removed for good.
enum Confirmation {
    /// Returns when `--yes` is given or somebody at a terminal says yes. Throws `usage` otherwise.
    static func ask(_ invocation: Invocation, _ what: String) throws(CommandFailure) {
        if invocation.has("yes") { return }
        guard isatty(STDIN_FILENO) == 1, Output.isTelling else {
            var failure = CommandFailure.usage(what)
            failure.advice = "if you mean it, give --yes"
            throw failure
        }
        Output.tell("\(what). Really? Type yes: ", endsLine: false)
        var reader = LineReader(descriptor: STDIN_FILENO)
        while true {
            if let line = try reader.next() {
                if String(decoding: line, as: UTF8.self) == "yes" { return }
                break
            }
            if reader.isAtEnd { break }
            try reader.fill()
        }
        throw CommandFailure(.failure, "nothing was done; type yes, or give --yes")
    }
}

extension CommandOption {
    static let yes = CommandOption("yes", "do not ask")
}
