/// The one list of what the program can do.
enum CommandTable {
    static let sections = [
        CommandSection(
            title: "Events",
            commands: [
                PublishCommand.description, SubscribeCommand.description, FetchCommand.description,
                ExportCommand.description, ImportCommand.description,
            ]),
        CommandSection(
            title: "Subscriptions",
            commands: [SubscriptionsCommand.description] + NameCommands.all + [
                ExplainCommand.description, TraceCommand.description,
            ]),
        CommandSection(
            title: "Server",
            commands: [CheckCommand.description, TopCommand.description] + ExchangesCommand.all
                + OutboxCommands.all + PrincipalCommands.all + [
                    ReceiversCommand.description, ConnectionsCommand.description,
                    StateCommand.description, ServerCommand.description, VerifyCommand.description,
                    RestoredCommand.description, BenchCommand.description,
                ]),
        CommandSection(
            title: "This program",
            commands: ContextCommands.all + [
                CompletionCommand.script, CompletionCommand.answer, Manual.description,
            ]),
    ]

    static let commands = Self.sections.flatMap(\.commands)

    /// First words of commands that have two.
    static var nouns: [String] {
        var nouns: [String] = []
        for command in Self.commands where command.words.count > 1 && !command.isHidden {
            if !nouns.contains(command.words[0]) { nouns.append(command.words[0]) }
        }
        return nouns
    }

    static func ofNoun(_ noun: String) -> [CommandDescription] {
        Self.commands.filter { $0.words.count > 1 && $0.words[0] == noun && !$0.isHidden }
    }

    /// The command that the arguments begin with, and how many of them are its name. Throws `usage`
    /// with the nearest known name.
    static func find(
        _ arguments: [String]
    ) throws(CommandFailure) -> (command: CommandDescription, words: Int) {
        let first = arguments.first ?? ""
        let isNoun = Self.nouns.contains(first)
        // Behind a noun, a word is a verb; an old name takes whatever follows as its operand.
        if isNoun, arguments.count > 1, !arguments[1].hasPrefix("-") {
            let name = "\(first) \(arguments[1])"
            guard let command = Self.commands.first(where: { $0.isCalled(name) }) else {
                throw Self.unknown(name, verb: arguments[1], noun: first)
            }
            return (command, 2)
        }
        if let command = Self.commands.first(where: { $0.isCalled(first) }) { return (command, 1) }
        throw isNoun ? Self.missingVerb(first) : Self.unknown(first)
    }

    private static func missingVerb(_ noun: String) -> CommandFailure {
        .usage("'\(noun)' needs one of: \(Self.verbs(of: noun).joined(separator: ", "))")
    }

    private static func verbs(of noun: String) -> [String] {
        Self.ofNoun(noun).map { $0.words[1] }
    }

    private static func unknown(
        _ name: String, verb: String, noun: String
    ) -> CommandFailure {
        let verbs = Self.verbs(of: noun)
        let advice =
            Text.nearest(to: verb, in: verbs).map { "did you mean '\(noun) \($0)'?" }
            ?? "there are: \(verbs.joined(separator: ", "))"
        return .usage("there is no command '\(name)'; \(advice)")
    }

    private static func unknown(_ name: String) -> CommandFailure {
        let shown = Self.commands.filter { !$0.isHidden }
        let known = shown.flatMap { [$0.name] + $0.otherNames } + Self.nouns
        let advice =
            Text.nearest(to: name, in: known).map { "did you mean '\($0)'?" }
            ?? "'dormouse --help' lists them"
        return .usage("there is no command '\(name)'; \(advice)")
    }
}
