import Core
import DormouseClient

/// `dormouse context …`.
enum ContextCommands {
    static let all = [Self.add, Self.list, Self.select, Self.remove]

    private static let add = CommandDescription(
        name: "context add", summary: "name a server's address",
        usage: ["context add NAME ADDRESS", "context add NAME -"], operands: 2...2,
        options: [.json],
        examples: [
            "dormouse context add prod dormouses://events.example.com/orders",
            "dormouse context add prod - < address-with-token",
        ],
        notes: """
            With - the address is read from standard input, so that a token in it does not show in the
            list of processes. The first context is selected by itself. A name that exists gets the
            new address. The file is ~/.config/dormouse/contexts (below XDG_CONFIG_HOME when that is
            set), and only you can read it.
            """,
        run: { invocation throws(CommandFailure) in
            let operands = invocation.operands
            let name = try attempt { () throws(Failure) in
                try Name(operands[0], what: "context's name").text
            }
            let address = try Self.address(operands[1])
            try asking("the address is not one") { () throws(DormouseError) in
                try BlockingClient.check(ServerAddress(address).uri)
            }
            var contexts = try ContextFile.read()
            let isNew = contexts[name] == nil
            contexts.set(name, address)
            try ContextFile.write(contexts)
            let isSelected = contexts.selected == name
            return try Output.say(
                invocation,
                (isNew ? "added '\(name)'" : "'\(name)' has a new address")
                    + (isSelected ? ", which is selected" : ""),
                [("name", JSONText.quoted(name)), ("selected", "\(isSelected)")])
        })

    private static func address(_ operand: String) throws(CommandFailure) -> String {
        guard operand == "-" else { return operand }
        let bytes = try LineReader.all(of: nil, bytesMax: 64 << 10)
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard lines.count == 1 else {
            throw CommandFailure(
                .data,
                "standard input holds no line, or more than one; expected "
                    + "the address alone")
        }
        return String(lines[0])
    }

    private static let list = CommandDescription(
        name: "context list", otherNames: ["context"], summary: "list the named addresses",
        usage: ["context list [--json | --names]"], operands: 0...0, options: [.json, .names],
        examples: ["dormouse context list", "dormouse context list --names"],
        notes: "The selected one has a *. Tokens are not shown.",
        run: { invocation throws(CommandFailure) in
            let contexts = try ContextFile.read()
            let output = Output()
            var table = Table([("", .left), ("NAME", .left), ("ADDRESS", .left)])
            for entry in contexts.entries {
                let isSelected = entry.name == contexts.selected
                let address = Text.printable(ServerAddress(entry.address).withoutToken)
                if invocation.has("names") {
                    try output.write(entry.name)
                } else if invocation.has("json") {
                    try output.write(
                        "{\"name\":\(JSONText.quoted(entry.name)),\"selected\":\(isSelected),"
                            + "\"address\":\(JSONText.quoted(address))}")
                } else {
                    table.add([isSelected ? "*" : "", entry.name, address])
                }
            }
            if !invocation.has("names"), !invocation.has("json") {
                for line in table.lines { try output.write(line) }
            }
            try output.flush()
            return .success
        })

    private static let select = CommandDescription(
        name: "context select", summary: "use a named address from now on",
        usage: ["context select NAME"], operands: 1...1, operandKinds: [.context], options: [.json],
        examples: ["dormouse context select prod", "dormouse context select test"],
        notes: """
            --server, --context, DORMOUSE_URL and DORMOUSE_CONTEXT, in this order, come before what is
            selected.
            """,
        run: { invocation throws(CommandFailure) in
            let name = invocation.operands[0]
            var contexts = try ContextFile.read()
            _ = try contexts.find(name)
            contexts.select(name)
            try ContextFile.write(contexts)
            return try Output.say(
                invocation, "selected '\(name)'",
                [("name", JSONText.quoted(name)), ("selected", "true")])
        })

    private static let remove = CommandDescription(
        name: "context remove", summary: "forget a named address",
        usage: ["context remove NAME"], operands: 1...1, operandKinds: [.context],
        options: [.yes, .json],
        examples: ["dormouse context remove old --yes", "dormouse context remove test"],
        run: { invocation throws(CommandFailure) in
            let name = invocation.operands[0]
            var contexts = try ContextFile.read()
            _ = try contexts.find(name)
            try Confirmation.ask(
                invocation, "this removes the context '\(name)' and its address")
            contexts.remove(name)
            try ContextFile.write(contexts)
            return try Output.say(
                invocation, "removed '\(name)'", [("name", JSONText.quoted(name))])
        })
}
