/// Text for people: what is safe to show, and what was probably meant.
enum Text {
    /// Whether a terminal shows it as one harmless character: no control characters, and none that
    /// turn the direction of what follows.
    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: false
        default: true
        }
    }

    /// What a terminal can be shown without harm, on one line.
    static func printable(_ text: String) -> String {
        if text.unicodeScalars.allSatisfy(Self.isPrintable) { return text }
        var safe = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            // A message may have several lines; everything else becomes a question mark.
            safe.append(scalar == "\n" || Self.isPrintable(scalar) ? scalar : "?")
        }
        return String(safe)
    }

    /// Where somebody wrote a token in the place of something else, the message repeats that without it.
    static func withoutTokens(_ text: String) -> String {
        text.replacing(/[0-9a-f]{16}\.[0-9a-f]{64}/, with: "…")
    }

    static func printable(_ bytes: [UInt8]) -> String {
        Self.printable(String(decoding: bytes, as: UTF8.self))
    }

    /// A payload on one line: text with line ends and tabs escaped, or its size.
    static func payload(_ bytes: [UInt8]) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return Self.size(bytes)
        }
        if text.unicodeScalars.allSatisfy(Self.isPrintable) { return text }
        var line = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": line.append(contentsOf: "\\n".unicodeScalars)
            case "\r": line.append(contentsOf: "\\r".unicodeScalars)
            case "\t": line.append(contentsOf: "\\t".unicodeScalars)
            case _ where Self.isPrintable(scalar): line.append(scalar)
            default: return Self.size(bytes)
            }
        }
        return String(line)
    }

    private static func size(_ bytes: [UInt8]) -> String {
        "<\(Self.count(UInt64(bytes.count), "byte"))>"
    }

    /// 1234567 → `1,234,567`.
    static func grouped(_ number: UInt64) -> String {
        var grouped = ""
        let digits = String(number)
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { grouped.append(",") }
            grouped.append(digit)
        }
        return grouped
    }

    /// Two digits for each byte.
    static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// `1 event`, `1,234 events`.
    static func count(_ number: UInt64, _ noun: String) -> String {
        "\(Self.grouped(number)) \(noun)\(number == 1 ? "" : "s")"
    }

    /// The candidate with the fewest changed letters, when those are few enough to be a slip.
    static func nearest(to text: String, in candidates: [String]) -> String? {
        let ranked = candidates.map { (name: $0, distance: Self.distance(text, $0)) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }),
            best.distance <= max(1, best.name.count / 3)
                || (text.count >= 3 && best.name.hasPrefix(text))
        else {
            return candidates.first { text.count >= 3 && $0.hasPrefix(text) }
        }
        return best.name
    }

    /// Letters to insert, remove or replace, and neighbours to swap. Source: R. Wagner and M. Fischer,
    /// "The string-to-string correction problem", 1974, with swaps as in L. Boytsov, "Indexing methods
    /// for approximate dictionary searching", 2011 (optimal string alignment).
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.utf8.prefix(64)), Array(right.utf8.prefix(128)))
        var rows = [Array(0...right.count)]
        for (index, letter) in left.enumerated() {
            var row = [index + 1]
            for (column, other) in right.enumerated() {
                var best = min(
                    rows[index][column] + (letter == other ? 0 : 1), rows[index][column + 1] + 1,
                    row[column] + 1)
                if index > 0, column > 0, letter == right[column - 1], left[index - 1] == other {
                    best = min(best, rows[index - 1][column - 1] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
