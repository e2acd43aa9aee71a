import Core
import DormouseClient
import Foundation
import Testing

@testable import CommandLine

struct InvocationTests {
    private func parse(_ command: String, _ arguments: String...) throws -> Invocation {
        try Invocation(arguments, of: CommandTable.find([command]).command)
    }

    private func failure(_ body: () throws -> Void) -> CommandFailure? {
        do {
            try body()
            return nil
        } catch {
            return error as? CommandFailure
        }
    }

    @Test func optionsAndOperandsMayBeMixed() throws {
        let parsed = try self.parse(
            "subscribe", "--pattern", "a.#", "billing", "--count=5", "--json", "--pattern=b")
        #expect(parsed.operands == ["billing"])
        #expect(parsed.values("pattern") == ["a.#", "b"])
        #expect(try parsed.number("count", in: 1...10) == 5)
        #expect(parsed.has("json"))
        #expect(!parsed.has("exchange"))
    }

    @Test func twoHyphensEndTheOptionsAndOneIsAnOperand() throws {
        #expect(try self.parse("publish", "k", "--", "--lines").operands == ["k", "--lines"])
        #expect(try self.parse("publish", "k", "-").operands == ["k", "-"])
    }

    @Test func aValueMayContainAnEqualsSign() throws {
        #expect(try self.parse("publish", "k", "--header=a=b=c").values("header") == ["a=b=c"])
    }

    @Test(arguments: [
        (["--patern", "x"], "did you mean --pattern?"), (["n", "--count"], "value is missing"),
        (["n", "--json=1"], "takes no value"), (["n", "--count", "1", "--count", "2"], "twice"),
        (["a", "b"], "does not take 'b'"),
    ])
    func wrongUseSaysWhatIsWrong(arguments: [String], expected: String) {
        let failure = self.failure {
            _ = try Invocation(arguments, of: SubscribeCommand.description)
        }
        #expect(failure?.exit == .usage)
        #expect(failure?.message.contains(expected) == true)
    }

    @Test func missingOperandsShowTheUsage() {
        let failure = self.failure { _ = try self.parse("stop") }
        #expect(failure?.message.contains("usage: dormouse subscriptions stop NAME") == true)
        #expect(self.failure { _ = try self.parse("stop", "--help") } == nil)
    }

    @Test func numbersAndDurationsOutOfBoundsAreRefused() throws {
        let zero = try self.parse("subscribe", "n", "--count", "0")
        #expect(self.failure { _ = try zero.number("count", in: 1...9) }?.exit == .usage)
        let bad = try self.parse("state", "--timeout", "5")
        #expect(self.failure { _ = try bad.duration("timeout") }?.exit == .usage)
    }

    @Test func anUnknownCommandNamesTheNearest() {
        let failure = self.failure { _ = try CommandTable.find(["subscrbe"]) }
        #expect(failure?.message.contains("did you mean 'subscribe'?") == true)
        #expect(failure?.exit == .usage)
    }

    @Test func optionsMayStandBeforeTheCommand() {
        #expect(Program.commandIndex(in: ["--url", "state", "publish", "k"]) == 2)
        #expect(Program.commandIndex(in: ["--url=x", "state"]) == 1)
        #expect(Program.commandIndex(in: ["--help"]) == nil)
    }

    @Test func everyCommandHasAHelpWithTwoExamples() {
        for command in CommandTable.commands {
            let text = Help.text(of: command)
            #expect(command.examples.count == 2)
            #expect(text.contains("usage: dormouse \(command.name)"))
            #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
        }
        for noun in CommandTable.nouns {
            #expect(Help.text(ofNoun: noun).contains("dormouse \(noun) "))
        }
        #expect(Help.program.split(separator: "\n").allSatisfy { $0.count <= 100 })
    }

    /// What an example shows must be a command that is there, with options that it takes.
    @Test func everyExampleIsUnderstood() throws {
        for command in CommandTable.commands {
            for example in command.examples {
                let shown = example.split(separator: "|").map(String.init)
                    .first { $0.contains("dormouse ") }
                let text = try #require(shown)
                let start = try #require(text.range(of: "dormouse "))
                let words = text[start.upperBound...].prefix { $0 != "<" && $0 != ">" && $0 != ")" }
                    .split(separator: " ").map(String.init)
                let found = try CommandTable.find(words)
                #expect(found.command.name == command.name, "\(example)")
            }
        }
    }

    @Test func namesOfCommandsAreUnique() {
        let names = CommandTable.commands.flatMap { [$0.name] + $0.otherNames }
        #expect(Set(names).count == names.count)
        for command in CommandTable.commands {
            let options = command.allOptions.flatMap { [$0.name] + $0.oldNames }
            #expect(Set(options).count == options.count, "\(command.name)")
        }
    }

    @Test(arguments: [
        (["stop", "x"], "subscriptions stop", 1), (["subscriptions"], "subscriptions list", 1),
        (["subscriptions", "--json"], "subscriptions list", 1),
        (["subscriptions", "stop", "x"], "subscriptions stop", 2),
        (["exchanges", "create", "x"], "exchanges create", 2), (["state"], "state", 1),
    ])
    func commandsAreFoundByNameAndByEarlierSpellings(
        arguments: [String], name: String, words: Int
    ) throws {
        let found = try CommandTable.find(arguments)
        #expect(found.command.name == name)
        #expect(found.words == words)
    }

    @Test(arguments: [
        (
            ["subscriptions", "lst"],
            "there is no command 'subscriptions lst'; did you mean 'subscriptions list'?"
        ),
        (["subscription"], "there is no command 'subscription'; did you mean 'subscriptions'?"),
        (["exchanges", "zzz"], "there is no command 'exchanges zzz'; there are: list, create"),
        (["zzzzzz"], "there is no command 'zzzzzz'; 'dormouse --help' lists them"),
    ])
    func whatIsNoCommandIsAnsweredWithTheNearest(arguments: [String], message: String) {
        let failure = self.failure { _ = try CommandTable.find(arguments) }
        #expect(failure == .usage(message))
    }

    @Test func anEarlierSpellingOfAnOptionHolds() throws {
        #expect(try self.parse("state", "--url", "x").value("server") == "x")
    }
}

struct FiltersTests {
    @Test func startsAreWordsPositionsAndTimes() throws {
        let now: UInt64 = 10_000_000_000
        #expect(try Filters.start("first", option: "from") == .first)
        #expect(try Filters.start("17", option: "from") == .position(17))
        #expect(try Filters.start("@-1h", option: "from", now: now) == .time(6_400_000_000))
        #expect(try Filters.start("@1970-01-01T00:00Z", option: "from") == .time(0))
    }

    @Test(arguments: ["", "0", "-1", "newest", "@", "@tomorrow", "1x"])
    func whatIsNoStartIsRefused(text: String) {
        #expect(throws: CommandFailure.self) { try Filters.start(text, option: "from") }
    }

    @Test func headerMatchesHaveFourForms() {
        let value = Array("v".utf8)
        #expect(Filters.match("n=v") == .equals("n", value))
        #expect(Filters.match("n^=v") == .prefix("n", value))
        #expect(Filters.match("n") == .exists("n"))
        #expect(Filters.match("!n") == .absent("n"))
        #expect(Filters.match("n=") == .equals("n", []))
    }

    @Test func aBadPatternIsFoundBeforeAnythingIsSent() throws {
        let invocation = try Invocation(
            ["n", "--pattern", "a..b"], of: SubscribeCommand.description)
        #expect(throws: CommandFailure.self) { try Filters.filter(invocation) }
    }
}

struct ServerAddressTests {
    @Test(arguments: [
        ("host:4000", "dormouse://host:4000", nil), ("dormouse://h/orders", nil, "orders"),
        ("dormouses://t@h:1,i:2/orders?reconnect=no", nil, "orders"),
        ("dormouse://h/?exchange=x", nil, "x"), ("unix:/run/dormouse/socket", nil, nil),
        ("unix:///run/x?client=c&exchange=y", nil, "y"), ("dormouse://h", nil, nil),
    ])
    func theExchangeOfAnAddressIsKnown(text: String, uri: String?, exchange: String?) {
        #expect(ServerAddress(text).uri == uri ?? text)
        #expect(ServerAddress(text).exchange == exchange)
    }
}

extension ServerAddressTests {
    @Test(arguments: [
        ("dormouses://TOKEN@h:1/main?reconnect=no", "dormouses://…@h:1/main?reconnect=no"),
        ("TOKEN@h", "…@h"), ("dormouse://TO@KEN@h", "dormouse://…@h"),
        (
            "dormouses://h/main?token=TOKEN&ca_file=a.pem",
            "dormouses://h/main?token=…&ca_file=a.pem"
        ),
        ("dormouses://h?tokn=TOKEN", "dormouses://h?tokn=…"), ("h?TOKEN&&x=", "h?…&&…"),
        ("unix:/run/x", "unix:/run/x"), ("@", "…@"), ("", ""), ("?", "?"),
    ])
    func anAddressIsShownWithoutItsToken(text: String, shown: String) {
        #expect(ServerAddress(text).withoutToken == shown)
    }

    @Test func aTokenInAWrongPlaceIsNotRepeated() {
        let token = "0123456789abcdef." + String(repeating: "0f", count: 32)
        #expect(Text.withoutTokens("\(token):3673: not known, \(token)") == "…:3673: not known, …")
        #expect(Text.withoutTokens("0123456789abcdef.0f") == "0123456789abcdef.0f")
    }
}

struct ExitCodeTests {
    @Test func failuresSayWhatWhyAndWhichCode() {
        let failure = CommandFailure(
            Failure(.notFound, "there is no such name"), doing: "cannot stop 'x'")
        #expect(failure.exit == .failure)
        #expect(
            failure.line
                == "dormouse: cannot stop 'x': there is no such name; 'dormouse subscriptions list' and "
                + "'dormouse exchanges list' show what there is [NOT_FOUND]")
    }

    @Test func whatToDoStandsBehindTheFirstSemicolon() {
        let said = CommandFailure(Failure(.outOfRange, "it is beyond; fetch before it; or wait"))
        #expect(said.parts == ("it is beyond", "fetch before it; or wait"))
        #expect(said.line == "dormouse: it is beyond; fetch before it; or wait [OUT_OF_RANGE]")
        var advised = said
        advised.advise("run it again")
        #expect(advised.line == "dormouse: it is beyond; run it again [OUT_OF_RANGE]")
    }

    @Test func everyFailureSaysWhatToDo() {
        for code in StatusCode.allCases {
            #expect(!CommandFailure(Failure(code, "x")).parts.advice.isEmpty, "\(code)")
        }
        for exit in ExitCode.allCases {
            #expect(!CommandFailure(exit, "x").parts.advice.isEmpty, "\(exit)")
        }
    }

    @Test func asJSONItIsAnObjectWithTheSame() {
        let refused = CommandFailure(Failure(.notFound, "no \"x\"; look"), doing: "cannot stop")
        #expect(
            refused.json()
                == #"{"code":"NOT_FOUND","exit":1,"message":"cannot stop: no \"x\"","advice":"look"}"#
        )
        #expect(
            CommandFailure.usage("give one; not two").json()
                == #"{"code":"USAGE","exit":64,"message":"give one","advice":"not two"}"#)
        #expect(refused.json(goesOn: true).contains(#""exit":null"#))
    }

    @Test func whatTheClientFoundIsShownAsOneOfTheServersCodes() {
        let failure = CommandFailure(
            DormouseError(.connectionLost, "the server closed the connection"), doing: "cannot list"
        )
        #expect(failure.exit == .unavailable)
        #expect(
            failure.line
                == "dormouse: cannot list: the server closed the connection; run it again in a while; "
                + "'dormouse server' says how the server is [UNAVAILABLE]")
        #expect(StatusCode(.timeout) == .deadlineExceeded)
        #expect(StatusCode(.badArgument) == .invalidArgument)
        #expect(StatusCode(.hole) == .internal)
        #expect(StatusCode(.takenOver) == .takenOver)
        #expect(StatusCode(DormouseError.Status(rawValue: 99)) == .internal)
    }

    @Test func exitCodesAreThoseOfSysexits() {
        #expect(ExitCode(.unavailable).rawValue == 69)
        #expect(ExitCode(.deadlineExceeded).rawValue == 75)
        #expect(ExitCode(.permissionDenied).rawValue == 77)
        #expect(ExitCode(.alreadyExists).rawValue == 73)
        #expect(ExitCode(.internal).rawValue == 70)
        #expect(StatusCode.allCases.filter { ExitCode($0) == .success } == [.ok])
    }
}
