/// Columns with their titles, padded with spaces: the same on a terminal and in a pipe, but for
/// colours.
struct Table {
    enum Alignment { case left, right }

    private let columns: [(title: String, alignment: Alignment)]
    private var rows: [(cells: [String], colours: [Int: Show.Colour])] = []

    init(_ columns: [(title: String, alignment: Alignment)]) {
        self.columns = columns
    }

    mutating func add(_ row: [String], colours: [Int: Show.Colour] = [:]) {
        self.rows.append((row, colours))
    }

    var lines: [String] { self.lines(Show()) }

    /// One line each, title first, without spaces at the end.
    func lines(_ show: Show) -> [String] {
        let titles = self.columns.map(\.title)
        let bold = Dictionary(uniqueKeysWithValues: titles.indices.map { ($0, Show.Colour.bold) })
        let all = [(cells: titles, colours: bold)] + self.rows
        let widths = self.columns.indices.map { column in
            all.map { column < $0.cells.count ? $0.cells[column].unicodeScalars.count : 0 }.max()
                ?? 0
        }
        return all.map { row in
            var line = ""
            var padding = 0
            for (column, cell) in row.cells.enumerated() where column < self.columns.count {
                if column > 0 { padding += 2 }
                let free = widths[column] - cell.unicodeScalars.count
                let isRight = self.columns[column].alignment == .right
                if isRight { padding += free }
                if !cell.isEmpty {
                    line += String(repeating: " ", count: padding)
                    line += show.coloured(cell, row.colours[column])
                    padding = 0
                }
                if !isRight { padding += free }
            }
            return line
        }
    }
}
