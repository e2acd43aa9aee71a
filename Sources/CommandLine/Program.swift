/// The program: finds the command, runs it, and says how it ended.
enum Program {
    /// Kept with the server's: they are released together.
    static let version = "0.1.0"

    static func run(_ arguments: [String]) -> ExitCode {
        Interrupts.ignoreBrokenPipes()
        do throws(CommandFailure) {
            return try Self.dispatch(arguments)
        } catch {
            error.tell(asJSON: Self.wantsJSON(arguments))
            return error.exit
        }
    }

    private static func dispatch(_ arguments: [String]) throws(CommandFailure) -> ExitCode {
        let output = Output()
        guard let index = Self.commandIndex(in: arguments) else {
            if arguments.contains("--version") {
                try output.write("dormouse \(Self.version)")
            } else if arguments.contains("--help") || arguments.contains("-h") {
                try output.write(Help.program)
            } else if Self.wantsJSON(arguments) {
                throw .usage("there is no command; 'dormouse --help' lists them")
            } else {
                Output.tell(Help.program)
                return .usage
            }
            try output.flush()
            return .success
        }
        let named = Array(arguments[index...])
        if named[0] == "help" { return try Self.help(about: Array(named.dropFirst()), output) }
        if Self.asksForHelp(named.dropFirst()), CommandTable.nouns.contains(named[0]),
            named.count == 2
        {
            return try Self.help(about: [named[0]], output)
        }
        let (command, words) = try CommandTable.find(named)
        let rest = Array(arguments[..<index]) + named.dropFirst(words)
        let invocation = try Invocation(rest, of: command)
        if invocation.has("help") { return try Self.say(Help.text(of: command), output) }
        return try command.run(invocation)
    }

    /// Also when the command, or its other options, are not understood.
    private static func wantsJSON(_ arguments: [String]) -> Bool {
        arguments.prefix { $0 != "--" }.contains("--json")
    }

    private static func asksForHelp(_ arguments: ArraySlice<String>) -> Bool {
        arguments.contains("--help") || arguments.contains("-h")
    }

    /// Options that hold for every command may stand before it.
    static func commandIndex(in arguments: [String]) -> Int? {
        var index = 0
        while index < arguments.count, arguments[index].hasPrefix("-") {
            let takesNext = CommandOption.everywhere.contains {
                $0.value != nil && $0.isCalled(arguments[index])
            }
            index += takesNext ? 2 : 1
        }
        return index < arguments.count ? index : nil
    }

    private static func help(
        about words: [String], _ output: Output
    ) throws(CommandFailure) -> ExitCode {
        guard let first = words.first else { return try Self.say(Help.program, output) }
        if words.count == 1, CommandTable.nouns.contains(first) {
            return try Self.say(Help.text(ofNoun: first), output)
        }
        return try Self.say(Help.text(of: try CommandTable.find(words).command), output)
    }

    private static func say(_ text: String, _ output: Output) throws(CommandFailure) -> ExitCode {
        try output.write(text)
        try output.flush()
        return .success
    }
}
