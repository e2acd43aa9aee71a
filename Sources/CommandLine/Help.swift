/// The texts of `--help`.
enum Help {
    static var program: String {
        let width = Program.commands.map(\.name.count).max() ?? 0
        let commands = Program.commands.map { command in
            "  \(Self.padded(command.name, width))  \(command.summary)"
        }
        return """
            usage: dormouse COMMAND [ARGUMENT...]

            \(commands.joined(separator: "\n"))

            Options of every command:
            \(Self.list(CommandOption.everywhere + [
                CommandOption("version", "show the version")
            ]))

            Examples:
              dormouse publish hello.world 'Good morning'
              dormouse subscribe greetings --pattern 'hello.#' --from first

            'dormouse COMMAND --help' says more. The server is started with 'make run'.
            ADDRESS is dormouse://[TOKEN@]HOST[:PORT][,HOST…][/EXCHANGE][?OPTION=VALUE&…], dormouses://
            for TLS, or unix:/PATH. Several hosts are tried in turn; the options are those of
            dormouse_connect(3), such as reconnect=no or ca_file=PATH.

            \(ExitCode.explanation)
            """
    }

    static func text(of command: CommandDescription) -> String {
        var text = "dormouse \(command.name): \(command.summary)\n\n"
        for (index, usage) in command.usage.enumerated() {
            text += (index == 0 ? "usage: " : "   or: ") + "dormouse \(usage)\n"
        }
        text += "\nOptions:\n" + Self.list(command.allOptions) + "\n"
        if !command.notes.isEmpty { text += "\n\(command.notes)\n" }
        text += "\nExamples:\n"
        text += command.examples.map { "  " + $0 }.joined(separator: "\n")
        return text
    }

    private static func list(_ options: [CommandOption]) -> String {
        let width = options.map(\.title.count).max() ?? 0
        return options.map { option in
            "  \(Self.padded(option.title, width))  \(option.help)"
        }.joined(separator: "\n")
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
