import Foundation
import Testing
import WorkerCommands

/// Command lines, files of settings and lists of applications with workers.
struct WorkerCommandsTests {
    private enum Color: String, CaseIterable { case red, green }

    private func arguments(_ words: String...) throws -> Arguments {
        try Arguments(
            words, flags: ["--config", "--color", "--count", "--for"], switches: ["--json"])
    }

    @Test func wordsFlagsAndSwitchesMayComeInAnyOrder() throws {
        let arguments = try self.arguments(
            "list", "--count", "3", "-", "--json", "--color=green", "last")
        #expect(arguments.words == ["list", "-", "last"])
        #expect(arguments.has("--json") && arguments.value("--for") == nil)
        #expect(try arguments.number("--count", in: 1...3, default: 9) == 3)
        #expect(try arguments.choice("--color", default: Color.red) == .green)
        #expect(try arguments.milliseconds("--for", default: 7) == 7)
        #expect(try self.arguments("--for", "0.25").milliseconds("--for", default: 0) == 250)
    }

    @Test func mistakesSayWhatWasExpected() throws {
        func expect(_ text: String, _ body: () throws -> Void) {
            let error = #expect(throws: UsageError.self) { try body() }
            #expect(error?.description == text)
        }
        expect("there is no --colour; --help lists what there is") {
            _ = try self.arguments("--colour", "red")
        }
        expect("--count wants a value") { _ = try self.arguments("--count") }
        expect("--count is '4', not a whole number from 1 to 3") {
            _ = try self.arguments("--count", "4").number("--count", in: 1...3, default: 1)
        }
        expect("--color is 'blue'; it may be red, green") {
            _ = try self.arguments("--color", "blue").choice("--color", default: Color.red)
        }
        expect("'100' is too much behind 'customers make'; --help lists what there is") {
            try self.arguments("customers", "make", "100").expectNoMore(than: 2)
        }
        for seconds in ["-1", "nan", "inf", "86401", "soon"] {
            expect("--for is '\(seconds)', not a number of seconds up to 86400") {
                _ = try self.arguments("--for=\(seconds)").milliseconds("--for", default: 1)
            }
        }
    }

    @Test func theCommandLineGoesBeforeTheFileAndTheFileBeforeWhatIsUsual() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "settings-\(UUID().uuidString)"
        ).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        func settings(_ text: String, _ words: String...) throws -> Settings {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            return try Settings(
                Arguments(
                    words + ["--config", path], flags: ["--config", "--color", "--place"],
                    switches: []), flags: ["--config", "--color", "--place"], file: "none")
        }
        let text = "# where\n\n  place = host=a port=5 \ncolor=green\n"
        #expect(try settings(text).value("place", default: "c") == "host=a port=5")
        #expect(try settings(text, "--place", "b").value("place", default: "c") == "b")
        #expect(try settings("").value("place", default: "c") == "c")
        let color: Color? = try settings(text).choice("color")
        #expect(color == .green)
        #expect(try settings("").choice("color", Color.self) == nil)
        // As Windows ends lines.
        let lines = try settings("# where\r\nplace = b\r\n\r\ncolor = green\r\n")
        #expect(lines.value("place") == "b" && lines.value("color") == "green")
        for (text, line) in [("place", 1), ("\nplaice = b", 2), ("color =", 1), ("config = x", 1)] {
            let error = #expect(throws: UsageError.self) { try settings(text) }
            #expect(
                error?.description
                    == "\(path), line \(line): expected 'name = value' with one of color, place")
        }
        #expect(throws: UsageError("--color is 'blue'; it may be red, green")) {
            try settings("color = blue").choice("color", Color.self)
        }
        // A file that is named must be there; the usual one need not.
        #expect(throws: UsageError("the configuration file '/none' cannot be read")) {
            try Settings(
                Arguments(["--config", "/none"], flags: ["--config"], switches: []),
                flags: ["--config"], file: "none")
        }
        #expect(
            try Settings(self.arguments(), flags: ["--color"], file: "/none").value("color") == nil)
    }

    /// Names come from anywhere. A terminal must not obey them, and a row stays a line.
    @Test func whatTerminalsObeyIsNotShown() {
        var listing = Listing(["name"])
        listing.add([.text("a\r\nb\u{1b}[2Jc\u{7f}\u{9b}d\u{2028}e\tf")])
        #expect(listing.table == "NAME\na  b [2Jc  d e f\n")
        #expect(Listing.line("Łąka 🐭‍❄️") == "Łąka 🐭‍❄️")
    }

    @Test func listsLineUpAndQuote() {
        var listing = Listing(["name", "value_minor"])
        #expect(listing.table == "NAME  VALUE MINOR\n" && listing.json == "[]\n")
        listing.add([.text("Łąka\n\"x\""), .integer(9_007_199_254_740_993)])
        listing.add([.none, .none])
        #expect(
            listing.table == """
                NAME           VALUE MINOR
                Łąka "x"  9007199254740993
                -                        -

                """)
        #expect(
            listing.json == """
                [{"name":"Łąka\\n\\"x\\"","value_minor":9007199254740993},
                 {"name":null,"value_minor":null}]

                """)
    }
}
