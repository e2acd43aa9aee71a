import DormouseClient

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// How a command shows things: in a pipe always the same, on a terminal for people.
struct Show {
    enum Colour: String {
        case bold = "1"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case faint = "2"
    }

    let isTerminal: Bool
    /// In a pipe always.
    let isUTC: Bool
    let hasColours: Bool
    let now: UInt64

    init(_ invocation: Invocation, _ output: Output) {
        self.isTerminal = output.isTerminal
        self.isUTC = !output.isTerminal || invocation.has("utc")
        self.hasColours =
            output.isTerminal && OS.environment("NO_COLOR") == nil
            && OS.environment("TERM") != "dumb"
        self.now = OS.now
    }

    /// In a pipe.
    init(now: UInt64 = OS.now) {
        self.isTerminal = false
        self.isUTC = true
        self.hasColours = false
        self.now = now
    }

    func coloured(_ text: String, _ colour: Colour?) -> String {
        guard self.hasColours, let colour, !text.isEmpty else { return text }
        return "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m"
    }

    func time(_ microseconds: UInt64, digits: Int = 0) -> String {
        self.isUTC
            ? TimeText.rfc3339(microseconds, digits: digits)
            : TimeText.local(microseconds, digits: digits)
    }

    func ago(_ microseconds: UInt64) -> String {
        TimeText.roughly(self.now > microseconds ? self.now - microseconds : 0)
    }

    /// A time, and on a terminal how long ago that was.
    func since(_ microseconds: UInt64) -> String {
        if microseconds == 0 { return "-" }
        return self.time(microseconds)
            + (self.isTerminal ? " (\(self.ago(microseconds)) ago)" : "")
    }
}

extension CommandOption {
    static let utc = CommandOption("utc", "times in UTC; in a pipe they always are")
}

extension TimeText {
    /// In the user's zone, with its offset: `2026-03-01T13:00:00+01:00`.
    static func local(_ microseconds: UInt64, digits: Int) -> String {
        var seconds = time_t(microseconds / 1_000_000)
        var fields = tm()
        guard localtime_r(&seconds, &fields) != nil else {
            return Self.rfc3339(microseconds, digits: digits)
        }
        let offset = fields.tm_gmtoff
        // Before 1970 there is nothing, west of Greenwich not even that.
        let shifted = UInt64(max(0, Int64(microseconds) + Int64(offset) * 1_000_000))
        let minutes = abs(offset) / 60
        let zone = "\(offset < 0 ? "-" : "+")\(Self.two(minutes / 60)):\(Self.two(minutes % 60))"
        return Self.rfc3339(shifted, digits: digits).dropLast() + zone
    }

    private static func two(_ number: Int) -> String {
        number < 10 ? "0\(number)" : String(number)
    }
}

extension Text {
    /// 1536 → `1.5 KiB`.
    static func size(_ bytes: UInt64) -> String {
        if bytes < 1024 { return "\(bytes) B" }
        var value = Double(bytes)
        var unit = 0
        while value >= 1023.95, unit < 5 {
            value /= 1024
            unit += 1
        }
        let tenths = UInt64((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit])"
    }

    /// `orders.*, refunds.# with region = eu and without test`.
    static func filter(_ filter: Filter) -> String {
        var text =
            filter.patterns.isEmpty ? "every event" : filter.patterns.joined(separator: ", ")
        for (index, match) in filter.headers.enumerated() {
            text += index == 0 ? " with " : " and "
            switch match {
            case .equals(let name, let value): text += "\(name) = \(Text.printable(value))"
            case .prefix(let name, let value): text += "\(name) ^= \(Text.printable(value))"
            case .exists(let name): text += name
            case .absent(let name): text += "no \(name)"
            }
        }
        return Text.printable(text)
    }
}
