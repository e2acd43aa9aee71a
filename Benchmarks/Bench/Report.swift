import Core
import Foundation

/// What a run found: a table for the terminal, JSON for programs, a picture for the documentation.
struct Report {
    private struct System: Codable {
        let name: String
        let settings: String
    }
    private struct Content: Codable {
        let date: String
        let machine: String
        let quick: Bool
        let rounds: Int
        let load: String
        let systems: [System]
        let verdicts: [Verdict]
        let figures: [Figures.Figure]
    }

    private let content: Content
    private let figures: Figures
    private let folder: String

    init(_ run: Run) {
        let options = run.options
        let formatter = ISO8601DateFormatter()
        self.folder = options.results
        self.figures = run.figures
        self.content = Content(
            date: formatter.string(from: Date()), machine: Self.machine, quick: options.quick,
            rounds: options.rounds,
            load:
                "payloads of 100 random bytes, \(options.events) events a round, median of \(options.rounds) rounds",
            systems: run.notes.map { System(name: $0.system, settings: $0.text) },
            verdicts: Target.all.compactMap { Verdict($0, run.figures) },
            figures: run.figures.all)
    }

    /// Prints the tables and writes the files.
    func write() throws(Failure) {
        say(self.table)
        let name = self.content.date.prefix(10) + (self.content.quick ? "-quick" : "")
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let json: Data
        do {
            json = try encoder.encode(self.content)
        } catch {
            throw Failure(.internal, "cannot encode the results", underlying: "\(error)")
        }
        let path = "\(self.folder)/\(name)"
        try Bench.write(path + ".json", String(decoding: json, as: UTF8.self) + "\n")
        try Bench.write(path + ".md", self.table)
        try Bench.write(path + ".svg", Picture(self.content.figures, self.content.machine).text)
        say("written: \(path).json, .md, .svg")
    }

    private static var machine: String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = text.split(separator: "\n").first { $0.hasPrefix("model name") }
        let name = model?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) }
        return "\(ProcessInfo.processInfo.processorCount) cores, \(name ?? "unknown processor")"
    }

    /// Both tables in Markdown, also readable as they are.
    private var table: String {
        var lines = ["\(self.content.date), \(self.content.machine); \(self.content.load)", ""]
        let verdicts = self.content.verdicts.map { verdict in
            [
                verdict.measure, verdict.what, "\(shortNumber(verdict.ours)) \(verdict.unit)",
                verdict.otherName.map { "\($0): \(shortNumber(verdict.other ?? 0))" } ?? "",
                verdict.ratio.map { shortNumber($0) } ?? "", verdict.target,
                verdict.target.isEmpty ? "" : verdict.isMet ? "yes" : "no",
            ]
        }
        lines += Self.rows(
            ["", "what", "ours", "compared with", "ratio", "target", "met"], verdicts)
        lines.append("")
        let others = self.content.figures.filter { !$0.unit.hasPrefix("µs") }.map { figure in
            [
                figure.measure, figure.system, "\(shortNumber(figure.median)) \(figure.unit)",
                shortNumber(figure.values.min() ?? 0), shortNumber(figure.values.max() ?? 0),
            ]
        }
        lines += Self.rows(["", "system", "median", "least", "most"], others)
        lines.append("")
        let sizes = self.figures.exponents.map { entry in
            [
                entry.scale.what, "\(entry.scale.size)", "\(shortNumber(entry.cost)) µs",
                entry.exponent.map { "\(($0 * 100).rounded() / 100)" } ?? "",
            ]
        }
        if !sizes.isEmpty {
            lines += Self.rows(["size", "", "an event costs", "exponent"], sizes)
            lines.append("")
        }
        lines += Self.rows(
            ["system", "settings"], self.content.systems.map { [$0.name, $0.settings] })
        return lines.joined(separator: "\n") + "\n"
    }

    private static func rows(_ head: [String], _ rows: [[String]]) -> [String] {
        let widths = head.indices.map { column in
            ([head] + rows).map { $0[column].count }.max() ?? 0
        }
        let line = { (cells: [String]) in
            "| "
                + zip(cells, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
                .joined(separator: " | ") + " |"
        }
        let rule =
            "|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|"
        return [line(head), rule] + rows.map(line)
    }
}

/// Bars of what several systems were asked to do; colours follow the reader's light or dark setting.
struct Picture {
    private static let titles = [
        "P1": "Durable publish, batches of 100, events/s",
        "P2": "Publish, one event a request, events/s",
        "P5": "100 subscribers, deliveries/s", "P6 warm": "Replay, events/s",
        "P6 cold": "Replay after a restart, events/s",
        "P7": "Filtered replay, 1 % matches, events scanned/s",
    ]
    private var lines: [String] = []
    private var height = 20

    init(_ figures: [Figures.Figure], _ machine: String) {
        for (measure, title) in Self.titles.sorted(by: { $0.key < $1.key }) {
            let bars = figures.filter { $0.measure == measure }.sorted { $0.median > $1.median }
            guard let most = bars.first?.median, bars.contains(where: { $0.system == "dormouse" })
            else {
                continue
            }
            self.add(
                "<text class=\"t\" x=\"16\" y=\"\(self.height + 14)\">\(measure): \(title)</text>",
                26)
            for bar in bars {
                let width = max(1, Int(440 * bar.median / max(most, 1)))
                let kind = bar.system == "dormouse" ? "o" : bar.system == "libpq" ? "c" : "p"
                self.add(
                    "<text x=\"150\" y=\"\(self.height + 13)\" text-anchor=\"end\">\(bar.system)</text>"
                        + "<rect class=\"\(kind)\" x=\"158\" y=\"\(self.height + 2)\" width=\"\(width)\" height=\"14\" rx=\"2\"/>"
                        + "<text x=\"\(164 + width)\" y=\"\(self.height + 13)\">\(shortNumber(bar.median))</text>",
                    20)
            }
            self.height += 14
        }
        self.add(
            "<text x=\"16\" y=\"\(self.height + 12)\">\(machine); medians; longer is better</text>",
            24)
    }

    private mutating func add(_ line: String, _ height: Int) {
        self.lines.append(line)
        self.height += height
    }

    var text: String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 \(self.height)" width="700" height="\(self.height)" \
        font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Results of the benchmark">
        <style>
        text { fill: #333 } .t { font-weight: 600; font-size: 13px }
        .o { fill: #b5651d } .c { fill: #8a8a8a } .p { fill: #4a7fb5 }
        @media (prefers-color-scheme: dark) {
        text { fill: #ddd } .o { fill: #e39a55 } .c { fill: #9a9a9a } .p { fill: #6fa3d8 }
        }
        </style>
        \(self.lines.joined(separator: "\n"))
        </svg>

        """
    }
}
