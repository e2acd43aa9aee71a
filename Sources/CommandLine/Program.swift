/// The program: finds the command, runs it, and says how it ended.
enum Program {
    /// Kept with the server's: they are released together.
    static let version = "0.1.0"

    static let commands =
        [
            PublishCommand.description, SubscribeCommand.description, FetchCommand.description,
            SubscriptionsCommand.description,
        ] + NameCommands.all + [
            ExchangesCommand.description, StateCommand.description, ServerCommand.description,
        ]

    static func run(_ arguments: [String]) -> ExitCode {
        Interrupts.ignoreBrokenPipes()
        do throws(CommandFailure) {
            return try Self.dispatch(arguments)
        } catch {
            if !error.message.isEmpty { Output.tell(error.line) }
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
            } else {
                Output.tell(Help.program)
                return .usage
            }
            try output.flush()
            return .success
        }
        var rest = arguments
        let name = rest.remove(at: index)
        if name == "help" { return try Self.help(about: rest.first, output) }
        let command = try Self.command(name)
        let invocation = try Invocation(rest, of: command)
        guard !invocation.has("help") else { return try Self.help(about: name, output) }
        return try command.run(invocation)
    }

    /// Options that hold for every command may stand before it.
    static func commandIndex(in arguments: [String]) -> Int? {
        var index = 0
        while index < arguments.count, arguments[index].hasPrefix("-") {
            let takesNext = CommandOption.everywhere.contains {
                $0.value != nil && "--\($0.name)" == arguments[index]
            }
            index += takesNext ? 2 : 1
        }
        return index < arguments.count ? index : nil
    }

    static func command(_ name: String) throws(CommandFailure) -> CommandDescription {
        if let command = Self.commands.first(where: { $0.name == name }) { return command }
        let advice =
            Text.nearest(to: name, in: Self.commands.map(\.name)).map { "did you mean '\($0)'?" }
            ?? "'dormouse --help' lists them"
        throw .usage("there is no command '\(name)'; \(advice)")
    }

    private static func help(
        about name: String?, _ output: Output
    ) throws(CommandFailure) -> ExitCode {
        let text = try name.map { name throws(CommandFailure) in
            Help.text(of: try Self.command(name))
        }
        try output.write(text ?? Help.program)
        try output.flush()
        return .success
    }
}
