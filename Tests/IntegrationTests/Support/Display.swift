/// What stands on a terminal's screen after a program has written this: rows of characters. Knows what
/// the command line uses of ECMA-48 and of xterm's private modes, and says what it does not know.
struct Display {
    private var cells: [[Character]]
    private var row = 0
    private var column = 0
    private(set) var isAlternate = false
    private(set) var isCursorHidden = false
    /// Sequences that it does not know.
    private(set) var unknown: [String] = []

    init(rows: Int = 24, columns: Int = 80) {
        self.cells = Array(repeating: Array(repeating: " ", count: columns), count: rows)
    }

    /// Without blanks at the ends of lines, and without empty lines at the end.
    var text: String {
        var lines = self.cells.map { line in
            String(line.reversed().drop { $0 == " " }.reversed())
        }
        while lines.last == "" { lines.removeLast() }
        return lines.joined(separator: "\n")
    }

    mutating func write(_ text: String) {
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\u{1B}": self.obey(&rest)
            case "\n":
                self.column = 0
                self.advance()
            case "\r": self.column = 0
            default: self.put(Character(scalar))
            }
        }
    }

    private mutating func advance() {
        self.row += 1
        guard self.row == self.cells.count else { return }
        self.row -= 1
        self.cells.removeFirst()
        self.cells.append(Array(repeating: " ", count: self.cells[0].count))
    }

    private mutating func put(_ character: Character) {
        if self.column == self.cells[self.row].count {
            self.column = 0
            self.advance()
        }
        self.cells[self.row][self.column] = character
        self.column += 1
    }

    private mutating func obey(_ rest: inout Substring.UnicodeScalarView) {
        var sequence = ""
        while let scalar = rest.popFirst() {
            sequence.unicodeScalars.append(scalar)
            if scalar != "[", scalar.properties.isAlphabetic { break }
        }
        switch sequence {
        case "[H": (self.row, self.column) = (0, 0)
        case "[K": self.clear(self.row, from: self.column)
        case "[J":
            self.clear(self.row, from: self.column)
            for row in self.cells.indices.dropFirst(self.row + 1) { self.clear(row, from: 0) }
        case "[?1049h", "[?1049l":
            self.isAlternate = sequence.hasSuffix("h")
            for row in self.cells.indices { self.clear(row, from: 0) }
        case "[?25l", "[?25h": self.isCursorHidden = sequence.hasSuffix("l")
        // Colours are not kept.
        case _ where sequence.hasSuffix("m"): break
        default: self.unknown.append(sequence)
        }
    }

    private mutating func clear(_ row: Int, from column: Int) {
        for index in self.cells[row].indices.dropFirst(column) { self.cells[row][index] = " " }
    }
}
