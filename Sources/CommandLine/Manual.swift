/// The manual page dormouse(1), made of the command table: `docs/man/dormouse.1` is what this prints.
enum Manual {
    static let description = CommandDescription(
        name: "manual", summary: "print the manual page, for man(1)", usage: ["manual"],
        operands: 0...0, options: [],
        examples: ["dormouse manual | man -l -", "dormouse manual > dormouse.1"], isHidden: true,
        run: { _ throws(CommandFailure) in
            let output = Output()
            for line in Self.lines { try output.write(line) }
            try output.flush()
            return .success
        })

    static var lines: [String] {
        var lines = [
            ".\\\" Made by 'dormouse manual'; change the command table instead.",
            ".Dd November 21, 2026", ".Dt DORMOUSE 1", ".Os", ".Sh NAME", ".Nm dormouse",
            ".Nd publish events, subscribe to them, and look after a Dormouse server",
            ".Sh SYNOPSIS", ".Nm dormouse", ".Ar COMMAND", ".Op Ar ARGUMENT ...",
            ".Sh DESCRIPTION",
        ]
        lines += Self.text(
            """
            Works with a running dormoused. Output for programs goes to standard output, messages go \
            to standard error. Names of commands and options that do not exist are answered with the \
            nearest ones that do.
            """)
        lines += [".Pp", "Options of every command:"]
        lines += Self.list(CommandOption.everywhere)
        lines += [".Pp"] + Self.text(Help.address)
        for section in CommandTable.sections {
            let commands = section.commands.filter { !$0.isHidden }
            if commands.isEmpty { continue }
            lines.append(".Sh " + section.title.uppercased())
            for command in commands { lines += Self.entry(command) }
        }
        return lines + Self.end
    }

    private static func entry(_ command: CommandDescription) -> [String] {
        var lines = [".Ss \(Self.escaped(command.name))"]
        lines += Self.text(command.summary.prefix(1).uppercased() + command.summary.dropFirst())
        lines[lines.count - 1] += "."
        lines += Self.display(command.usage.map { "dormouse \($0)" })
        lines += Self.list(command.options)
        for paragraph in command.notes.split(separator: "\n\n") where !paragraph.isEmpty {
            lines += [".Pp"] + Self.text(String(paragraph))
        }
        return lines + [".Pp", "For example:"] + Self.display(command.examples)
    }

    private static func list(_ options: [CommandOption]) -> [String] {
        if options.isEmpty { return [] }
        var lines = [".Bl -tag -width Ds"]
        for option in options {
            let value =
                option.value.map { " Ar \(Self.escaped($0))" } ?? option.optionalValue.map {
                    " Ns Op = Ns Ar \(Self.escaped($0))"
                } ?? ""
            lines.append(".It Fl \\-\(Self.escaped(option.name))\(value)")
            lines += Self.text(option.help)
        }
        return lines + [".El"]
    }

    private static func display(_ commands: [String]) -> [String] {
        [".Bd -literal -offset indent"] + commands.map(Self.line) + [".Ed"]
    }

    private static var end: [String] {
        var lines = [".Sh ENVIRONMENT", ".Bl -tag -width DORMOUSE_URL"]
        for (name, text) in Self.environment { lines += [".It Ev \(name)"] + Self.text(text) }
        lines += [".El", ".Sh EXIT STATUS"] + Self.text(ExitCode.explanation)
        return lines + [
            ".Sh SEE ALSO", ".Xr dormouse 3 ,", ".Xr dormouse_connect 3",
        ]
    }

    private static let environment = [
        ("DORMOUSE_URL", "the server's address, when --server and --context are not given"),
        ("DORMOUSE_CONTEXT", "the context, when none of these is given"),
        ("NO_COLOR", "when it is set, nothing is coloured"),
    ]

    /// Sentences on lines of their own and no long lines, as mandoc(1) wants it.
    private static func text(_ text: String) -> [String] {
        var lines = [""]
        var isNewSentence = false
        for word in text.split(whereSeparator: { $0 == " " || $0 == "\n" }) {
            let last = lines[lines.count - 1]
            if isNewSentence || last.count + word.count > 72 {
                lines.append(String(word))
            } else {
                lines[lines.count - 1] = last.isEmpty ? String(word) : last + " " + word
            }
            isNewSentence = word.hasSuffix(".")
        }
        return lines.map(Self.line)
    }

    /// A line that begins like a request does not.
    private static func line(_ text: String) -> String {
        let escaped = Self.escaped(text)
        return escaped.hasPrefix(".") || escaped.hasPrefix("'") ? "\\&" + escaped : escaped
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
            .replacing("'", with: "\\(aq").replacing("…", with: "\\&...")
    }
}
