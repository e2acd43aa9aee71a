import DormouseClient

/// What a shell offers for the word that is being typed. The shell's part is a few lines, see
/// `CompletionScript`; it asks this program, so that names of subscriptions are offered, too.
enum Completion {
    struct Candidate: Hashable {
        let word: String
        var help = ""
    }

    enum Answer: Hashable {
        case candidates([Candidate])
        case files
    }

    /// Asks a server for names.
    typealias Names = (_ kind: ValueKind, _ invocation: Invocation?) -> [String]

    /// `words` follow the program's name; the last one is being typed.
    static func answer(_ words: [String], names: Names) -> Answer {
        let current = words.last ?? ""
        let before = Array(words.dropLast())
        guard let index = Program.commandIndex(in: before) else {
            if let option = Self.optionBefore(current, before, CommandOption.everywhere) {
                return Self.values(option.kind, current, nil, names)
            }
            return .candidates(Self.matching(current, Self.firstWords + Self.options([])))
        }
        let named = Array(before[index...])
        if named.count == 1, CommandTable.nouns.contains(named[0]), !current.hasPrefix("-") {
            let verbs = CommandTable.ofNoun(named[0]).map {
                Candidate(word: $0.words[1], help: $0.summary)
            }
            return .candidates(Self.matching(current, verbs))
        }
        guard let found = try? CommandTable.find(named) else { return .candidates([]) }
        return Self.answer(
            current, Array(before[..<index]) + named.dropFirst(found.words), found.command, names)
    }

    private static func answer(
        _ current: String, _ before: [String], _ command: CommandDescription, _ names: Names
    ) -> Answer {
        let invocation = Invocation(lenient: before, of: command)
        if let option = Self.optionBefore(current, before, command.allOptions) {
            return Self.values(option.kind, current, invocation, names)
        }
        if let equals = current.firstIndex(of: "="), current.hasPrefix("--") {
            let title = String(current[..<equals])
            guard let option = command.allOptions.first(where: { $0.isCalled(title) }) else {
                return .candidates([])
            }
            let value = String(current[current.index(after: equals)...])
            guard
                case .candidates(let found) = Self.values(option.kind, value, invocation, names)
            else { return .files }
            return .candidates(
                found.map { Candidate(word: "\(title)=\($0.word)", help: $0.help) })
        }
        if current.hasPrefix("-") {
            let given = command.allOptions.filter { $0.repeats || !invocation.has($0.name) }
            return .candidates(Self.matching(current, Self.options(given)))
        }
        let place = invocation.operands.count
        let kind =
            place < command.operandKinds.count ? command.operandKinds[place] : .anything
        return Self.values(kind, current, invocation, names)
    }

    /// The option whose value is being typed.
    private static func optionBefore(
        _ current: String, _ before: [String], _ options: [CommandOption]
    ) -> CommandOption? {
        guard let last = before.last else { return nil }
        return options.first { $0.value != nil && $0.isCalled(last) }
    }

    private static func values(
        _ kind: ValueKind, _ current: String, _ invocation: Invocation?, _ names: Names
    ) -> Answer {
        switch kind {
        case .anything: return .candidates([])
        case .file: return .files
        case .words(let words):
            return .candidates(Self.matching(current, words.map { Candidate(word: $0) }))
        case .subscription, .exchange, .context:
            let found = names(kind, invocation).map { Candidate(word: $0) }
            return .candidates(Self.matching(current, found))
        }
    }

    private static var firstWords: [Candidate] {
        let single = CommandTable.commands.filter { !$0.isHidden && $0.words.count == 1 }
        return single.map { Candidate(word: $0.name, help: $0.summary) }
            + CommandTable.nouns.map { noun in
                let verbs = CommandTable.ofNoun(noun).map { $0.words[1] }
                return Candidate(word: noun, help: verbs.joined(separator: ", "))
            } + [Candidate(word: "help", help: "show what a command takes")]
    }

    private static func options(_ options: [CommandOption]) -> [Candidate] {
        (options.isEmpty ? CommandOption.everywhere : options).map {
            Candidate(word: "--\($0.name)", help: $0.help)
        }
    }

    private static func matching(_ current: String, _ candidates: [Candidate]) -> [Candidate] {
        candidates.filter { $0.word.hasPrefix(current) }
    }
}

/// `dormouse completion` and what its scripts call.
enum CompletionCommand {
    static let script = CommandDescription(
        name: "completion", summary: "print the completion script of a shell",
        usage: ["completion bash | zsh | fish"], operands: 1...1,
        operandKinds: [.words(["bash", "zsh", "fish"])], options: [],
        examples: [
            "source <(dormouse completion bash)",
            "dormouse completion fish > ~/.config/fish/completions/dormouse.fish",
        ],
        notes: "'make install' installs them where the shells look for them.",
        run: { invocation throws(CommandFailure) in
            let shell = invocation.operands[0]
            guard let script = CompletionScript.all[shell] else {
                throw .usage("there is no completion for '\(shell)'; there are bash, zsh and fish")
            }
            let output = Output()
            try output.write(script)
            try output.flush()
            return .success
        })

    /// Called by the scripts with the words so far.
    static let answer = CommandDescription(
        name: "__complete", summary: "answer a shell's completion",
        usage: ["__complete -- WORD..."],
        operands: 0...10_000, options: [],
        examples: ["dormouse __complete -- sub", "dormouse __complete -- subscriptions s"],
        isHidden: true,
        run: { invocation throws(CommandFailure) in
            let output = Output()
            switch Completion.answer(invocation.operands, names: Self.names) {
            case .files: try output.write(":file")
            case .candidates(let candidates):
                for candidate in candidates {
                    try output.write(candidate.word + "\t" + candidate.help)
                }
            }
            try output.flush()
            return .success
        })

    /// A shell does not wait for a server that does not answer, and nobody wants to read why.
    private static func names(_ kind: ValueKind, _ invocation: Invocation?) -> [String] {
        do throws(CommandFailure) {
            if kind == .context { return try ContextFile.read().entries.map(\.name) }
            let invocation = invocation ?? Invocation(lenient: [], of: Self.answer)
            let connection = try Connection(invocation, timeoutMillisecondsMax: 500)
            return try asking { () throws(DormouseError) -> [String] in
                switch kind {
                case .exchange: return try connection.client.exchanges().map(\.name)
                case .subscription:
                    return try connection.client.subscribers(exchange: connection.exchange)
                        .map(\.name)
                case .anything, .file, .context, .words: return []
                }
            }
        } catch {
            return []
        }
    }
}
