import Diagnostics
import Foundation
import Testing

extension NetTests {
    @Suite struct DiagnosticsTests {
        private func line(_ body: (Logger) -> Void, _ format: LogFormat = .journal) throws -> String
        {
            let lines = Mailbox<String>()
            let logger = Logger(threshold: .debug, format: format) { lines.put($0) }
            body(logger)
            return try lines.next()
        }

        @Test func aLineHasPriorityTextAndFields() throws {
            #expect(
                try self.line { $0.info("subscriber woke", [.subscriber: "a", .position: 7]) }
                    == "<6>subscriber woke subscriber=a position=7\n")
            #expect(try self.line { $0.error("no") } == "<3>no\n")
            #expect(try self.line { $0.warning("no") } == "<4>no\n")
            #expect(try self.line { $0.debug("no") } == "<7>no\n")
        }

        @Test func outsideTheJournalALineBeginsWithTheTime() throws {
            let line = try self.line({ $0.info("started", [.version: "1.0"]) }, .timed)
            let time = #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO  started version=1\.0\n/#
            #expect(line.wholeMatch(of: time) != nil)
            let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
            let date = try Date(String(line.prefix(24)), strategy: style)
            #expect(abs(date.timeIntervalSinceNow) < 5)
        }

        @Test(arguments: [
            ("", "\"\""), ("two words", "\"two words\""), ("a\"b", "\"a\\\"b\""),
            ("a=b", "\"a=b\""), ("back\\slash", "\"back\\\\slash\""),
            ("line\n<0>forged\r\t", "\"line\\n<0>forged\\r\\t\""),
            ("\u{1B}[2J\u{7F}\u{0}", "\"\\u{1b}[2J\\u{7f}\\u{0}\""),
            ("a\u{2028}b\u{202E}c\u{85}", "\"a\\u{2028}b\\u{202e}c\\u{85}\""),
            ("größe", "\"größe\""),
        ])
        func noValueLooksLikeAnythingElse(_ value: String, _ expected: String) throws {
            #expect(try self.line { $0.info("t", [.peer: value]) } == "<6>t peer=\(expected)\n")
        }

        @Test func textIsEscapedToo() throws {
            #expect(try self.line { $0.info("a\nb \"c\"") } == "<6>a\\nb \"c\"\n")
        }

        @Test func longValuesAreCut() throws {
            let long = String(repeating: "ä", count: 100_000)
            let line = try self.line { $0.info("t", [.reason: long]) }
            #expect(line == "<6>t reason=\"\(String(repeating: "ä", count: 512))…\"\n")
        }

        @Test func belowTheThresholdNothingIsEvenEvaluated() {
            let lines = Mailbox<String>()
            let logger = Logger(threshold: .warning, format: .journal) { lines.put($0) }
            let evaluated = Mailbox<Bool>()
            func text() -> String {
                evaluated.put(true)
                return "text"
            }
            logger.info(text(), [.error: text()])
            #expect(evaluated.all.isEmpty)
            logger.threshold = .info
            logger.info(text())
            #expect(lines.all == ["<6>text\n"])
            #expect(logger.threshold == .info)
        }

        @Test func levelsHaveNames() {
            for level in LogLevel.allCases { #expect(LogLevel(name: level.name) == level) }
            #expect(LogLevel(name: "loud") == nil)
        }

        @Test func countersOnlyGrow() {
            var counters = Counters()
            counters.add(to: .saves)
            counters.add(5, to: .saves)
            counters.add(-1, to: .saves)
            #expect(counters[.saves] == 6 && counters.values[.saves] == 6)
            #expect(counters.values.count == Counters.Name.allCases.count)
        }

        @Test func histogramsAreCumulativeAsText() {
            var histogram = Histogram()
            for microseconds in [1, 500, 501, 20_000_000] as [UInt64] {
                histogram.add(microseconds: microseconds)
            }
            var text = MetricsText()
            text.add("x_seconds", "Help \\ here.", histogram)
            let lines = text.text.split(separator: "\n")
            let first: [Substring] = [
                "# HELP x_seconds Help \\\\ here.", "# TYPE x_seconds histogram",
                "x_seconds_bucket{le=\"0.0005\"} 2", "x_seconds_bucket{le=\"0.001\"} 3",
            ]
            let last: [Substring] = [
                "x_seconds_bucket{le=\"+Inf\"} 4", "x_seconds_sum 20.001002", "x_seconds_count 4",
            ]
            #expect(Array(lines.prefix(4)) == first && Array(lines.suffix(3)) == last)
        }

        @Test func labelsAreEscaped() {
            var text = MetricsText()
            text.sample("x", ["name": "a\"b\\c\nd"], true)
            #expect(text.text == "x{name=\"a\\\"b\\\\c\\nd\"} 1\n")
        }
    }
}
