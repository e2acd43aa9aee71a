#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// How an entry becomes one line.
package enum LogFormat: Hashable, Sendable {
    /// `2026-11-21T03:00:00.123Z INFO  text key=value`: for a terminal or a file.
    case timed
    /// `<6>text key=value`: for the journal, which knows the time itself. Source: sd-daemon(3).
    case journal

    /// A value longer than this is cut: a peer's text must not fill the disk.
    package static let valueBytesMax = 1024

    /// One line, with its newline at the end and no other.
    func line(
        _ level: LogLevel, _ text: String,
        _ fields: KeyValuePairs<LogKey, any CustomStringConvertible>,
        secondsSince1970 seconds: Int, milliseconds: Int
    ) -> String {
        var line: String
        switch self {
        case .timed:
            line = Self.time(secondsSince1970: seconds, milliseconds: milliseconds)
            line += " \(level.label) "
        case .journal:
            line = "<\(level.syslogPriority)>"
        }
        line += Self.escaped(text)
        for (key, value) in fields {
            line += " "
            line += key.rawValue
            line += "="
            line += Self.value(value.description)
        }
        line += "\n"
        return line
    }

    /// RFC 3339 in UTC.
    static func time(secondsSince1970 seconds: Int, milliseconds: Int) -> String {
        var clock = time_t(seconds)
        var parts = tm()
        guard gmtime_r(&clock, &parts) != nil else { return "?" }
        let year = padded(Int(parts.tm_year) + 1900, 4)
        let month = padded(Int(parts.tm_mon) + 1, 2)
        let day = padded(Int(parts.tm_mday), 2)
        let hour = padded(Int(parts.tm_hour), 2)
        let minute = padded(Int(parts.tm_min), 2)
        let second = padded(Int(parts.tm_sec), 2)
        return "\(year)-\(month)-\(day)T\(hour):\(minute):\(second).\(padded(milliseconds, 3))Z"
    }

    /// As it is when that is unambiguous, else in quotes.
    static func value(_ text: String) -> String {
        let isPlain =
            !text.isEmpty && text.utf8.count <= Self.valueBytesMax
            && text.utf8.allSatisfy { byte in
                byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"")
                    && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\\")
            }
        return isPlain ? text : "\"\(Self.escaped(text, quotes: true))\""
    }

    /// No character of the result ends a line, moves a terminal's cursor or turns the direction of
    /// reading: what a peer sent can look like nothing but a value.
    static func escaped(_ text: String, quotes: Bool = false) -> String {
        var result = ""
        var bytes = 0
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            guard bytes <= Self.valueBytesMax else {
                result += "…"
                break
            }
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\"" where quotes: result += "\\\""
            case "\\" where quotes: result += "\\\\"
            case _ where Self.isInvisible(scalar):
                result += "\\u{\(String(scalar.value, radix: 16))}"
            case _:
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isInvisible(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value < 0x20 }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
            return true
        default:
            // Thirty categories of letters, marks, numbers and signs: all visible.
            return false
        }
    }
}

private func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
