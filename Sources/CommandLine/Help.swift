/// The texts of `--help`.
enum Help {
    static var program: String {
        let width = CommandTable.commands.filter { !$0.isHidden }.map(\.name.count).max() ?? 0
        let sections = CommandTable.sections.map { section in
            Self.heading(section.title)
                + section.commands.filter { !$0.isHidden }
                .map { "  \(Self.padded($0.name, width))  \($0.summary)" }
                .joined(separator: "\n")
        }
        return """
            usage: dormouse COMMAND [ARGUMENT...]

            \(sections.joined(separator: "\n\n"))

            Options of every command:
            \(Self.list(CommandOption.everywhere + [
                CommandOption("version", "show the version")
            ]))

            Examples:
              dormouse publish hello.world 'Good morning'
              dormouse subscribe greetings --pattern 'hello.#' --from first

            'dormouse COMMAND --help' says more, 'man dormouse' everything. The server is started with
            'make run'.
            \(Self.address)

            \(ExitCode.explanation)
            """
    }

    private static func heading(_ title: String) -> String { "\(title):\n" }

    static let address = """
        ADDRESS is dormouse://[TOKEN@]HOST[:PORT][,HOST…][/EXCHANGE][?OPTION=VALUE&…], dormouses://
        for TLS, or unix:/PATH. Several hosts are tried in turn; the options are those of
        dormouse_connect(3), such as reconnect=no or ca_file=PATH.
        """

    /// What one can do with a noun.
    static func text(ofNoun noun: String) -> String {
        let commands = CommandTable.ofNoun(noun)
        let width = commands.map(\.name.count).max() ?? 0
        let lines = commands.map { "  \(Self.padded($0.name, width))  \($0.summary)" }
        let examples = commands.prefix(2).compactMap { $0.examples.last.map { "  " + $0 } }
        return """
            usage: dormouse \(noun) VERB [ARGUMENT...]

            \(lines.joined(separator: "\n"))

            Examples:
            \(examples.joined(separator: "\n"))

            'dormouse \(noun) VERB --help' says more.
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
