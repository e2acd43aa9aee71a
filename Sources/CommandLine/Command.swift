/// What stands for a value or an operand: tells the completion what to offer.
enum ValueKind: Hashable, Sendable {
    case anything
    case file
    case subscription
    case exchange
    case context
    case words([String])
}

/// An option of a command: `--name`, or `--name VALUE`.
struct CommandOption: Hashable, Sendable {
    let name: String
    /// What stands for the value in the help; nil for a switch.
    let value: String?
    /// What stands for a value that may be left out.
    var optionalValue: String?
    let help: String
    let repeats: Bool
    let kind: ValueKind
    /// Spellings of earlier versions, which the help does not show.
    let oldNames: [String]

    init(
        _ name: String, _ value: String, of kind: ValueKind = .anything, repeats: Bool = false,
        oldNames: [String] = [], _ help: String
    ) {
        self.name = name
        self.value = value
        self.help = help
        self.repeats = repeats
        self.kind = kind
        self.oldNames = oldNames
    }

    /// A switch that may be given a value, behind a =.
    init(optionalValue name: String, _ value: String, _ help: String) {
        self.name = name
        self.value = nil
        self.optionalValue = value
        self.help = help
        self.repeats = false
        self.kind = .anything
        self.oldNames = []
    }

    /// A switch.
    init(_ name: String, _ help: String) {
        self.name = name
        self.value = nil
        self.help = help
        self.repeats = false
        self.kind = .anything
        self.oldNames = []
    }

    var title: String {
        "--\(self.name)" + (self.value.map { " \($0)" } ?? "")
            + (self.optionalValue.map { "[=\($0)]" } ?? "")
    }

    func isCalled(_ title: String) -> Bool {
        title == "--\(self.name)" || self.oldNames.contains { title == "--\($0)" }
    }

    static let server = CommandOption(
        "server", "ADDRESS", oldNames: ["url"],
        "the server; default: DORMOUSE_URL, else the selected context, else this host")
    static let context = CommandOption(
        "context", "NAME", of: .context, "a server by the name that 'context add' gave it")
    static let timeout = CommandOption(
        "timeout", "DURATION", "how long to wait for an answer; default 15s")
    static let help = CommandOption("help", "show this help")
    static let everywhere = [
        CommandOption.server, CommandOption.context, CommandOption.timeout, CommandOption.help,
    ]

    static let exchange = CommandOption(
        "exchange", "NAME", of: .exchange, "the exchange; default main")
    static let names = CommandOption("names", "only the names, one on a line")
    static let json = CommandOption("json", "machine-readable output")
}

/// One command of the program. Parsing, `--help`, the manual page and the completion all read this.
struct CommandDescription: Sendable {
    /// A verb, or a noun and a verb.
    let name: String
    /// Spellings of earlier versions, and the noun alone for its most used verb.
    var otherNames: [String] = []
    let summary: String
    /// Without the program's name, one line each.
    let usage: [String]
    /// How many operands there may be.
    let operands: ClosedRange<Int>
    /// What the operands stand for; those beyond stand for anything.
    var operandKinds: [ValueKind] = []
    let options: [CommandOption]
    let examples: [String]
    /// Further paragraphs of the help.
    var notes = ""
    /// Not for people: not in the help.
    var isHidden = false
    let run: @Sendable (Invocation) throws(CommandFailure) -> ExitCode

    var allOptions: [CommandOption] { self.options + CommandOption.everywhere }

    var words: [String] { self.name.split(separator: " ").map(String.init) }

    func isCalled(_ name: String) -> Bool {
        self.name == name || self.otherNames.contains(name)
    }
}

/// Commands under one title of the help.
struct CommandSection: Sendable {
    let title: String
    let commands: [CommandDescription]
}
