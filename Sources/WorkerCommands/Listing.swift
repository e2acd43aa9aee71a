import Foundation

/// Rows with named columns, shown as a table or as JSON.
public struct Listing {
    /// One value.
    public enum Cell: Hashable, Sendable {
        case text(String)
        case integer(Int64)
        case none

        var text: String {
            switch self {
            case .text(let text): Listing.line(text)
            case .integer(let number): String(number)
            case .none: "-"
            }
        }

        var json: String {
            switch self {
            case .text(let text): Listing.quoted(text)
            case .integer(let number): String(number)
            case .none: "null"
            }
        }
    }

    private let columns: [String]
    private var rows: [[Cell]] = []

    /// Names in lower case, words joined by `_`: they are the keys of the JSON.
    public init(_ columns: [String]) {
        self.columns = columns
    }

    /// Adds a row with a cell for each column.
    public mutating func add(_ row: [Cell]) {
        precondition(row.count == self.columns.count, "a row has a cell for each column")
        self.rows.append(row)
    }

    /// With a line of titles; numbers stand to the right.
    public var table: String {
        let titles = self.columns.map { $0.uppercased().replacing("_", with: " ") }
        let texts = [titles] + self.rows.map { $0.map(\.text) }
        let widths = self.columns.indices.map { column in texts.map { $0[column].count }.max() ?? 0
        }
        let isNumber = self.columns.indices.map { column in
            self.rows.contains { if case .integer = $0[column] { true } else { false } }
        }
        return texts.map { row in
            var line = ""
            for (column, text) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - text.count)
                line +=
                    (column > 0 ? "  " : "") + (isNumber[column] ? padding + text : text + padding)
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    /// An array of objects, one a line.
    public var json: String {
        let lines = self.rows.map { row in
            "{" + zip(self.columns, row).map { "\"\($0)\":\($1.json)" }.joined(separator: ",") + "}"
        }
        return "[" + lines.joined(separator: ",\n ") + "]\n"
    }

    /// As JSON if that was asked for, or as a table.
    public func text(asJSON: Bool) -> String { asJSON ? self.json : self.table }

    /// Text from anywhere as a part of a line: without line ends, and without anything that a terminal obeys.
    public static func line(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: Self.isControl) else { return text }
        var line = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { line.append(Self.isControl(scalar) ? " " : scalar) }
        return String(line)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }

    /// A string of JSON.
    public static func quoted(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        // A string always can be encoded.
        guard let data = try? encoder.encode(text) else { return "\"\"" }
        return String(decoding: data, as: UTF8.self)
    }
}
