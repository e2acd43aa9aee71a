/// Times and durations as people write them. Times are microseconds since 1970 UTC.
enum TimeText {
    private static let second: UInt64 = 1_000_000
    private static let day: UInt64 = 86_400 * second

    // MARK: Writing

    /// RFC 3339 in UTC, with as many digits of a second as asked for (0, 3 or 6).
    static func rfc3339(_ microseconds: UInt64, digits: Int = 6) -> String {
        var text: [UInt8] = []
        Self.append(rfc3339: microseconds, digits: digits, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Two units: `3d 4h`, `12m 5s`, `7s`.
    static func roughly(_ microseconds: UInt64) -> String {
        let seconds = microseconds / Self.second
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m \(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3600)h \(seconds / 60 % 60)m"
        default: return "\(seconds / 86_400)d \(seconds / 3600 % 24)h"
        }
    }

    // MARK: Reading

    /// `500ms`, `30s`, `5m`, `1h30m`, `2d`; nil for anything else.
    static func duration(_ text: String) -> UInt64? {
        var rest = text[...]
        var total: UInt64 = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let number = UInt64(digits), let factor = Self.units[String(unit)] else {
                return nil
            }
            let product = number.multipliedReportingOverflow(by: factor)
            let sum = total.addingReportingOverflow(product.partialValue)
            guard !product.overflow, !sum.overflow else { return nil }
            total = sum.partialValue
        }
        return text.isEmpty || total > UInt64(Int64.max) ? nil : total
    }

    private static let units: [String: UInt64] = [
        "us": 1, "ms": 1000, "s": second, "m": 60 * second, "h": 3600 * second, "d": day,
        "w": 7 * day,
    ]

    /// RFC 3339 (`2026-03-01T12:00:00Z`, `…+01:00`, seconds may be left out), a date in UTC, or so
    /// long ago (`-1h`); nil for anything else.
    static func time(_ text: String, now: UInt64) -> UInt64? {
        if text.hasPrefix("-") {
            guard let ago = Self.duration(String(text.dropFirst())) else { return nil }
            return now > ago ? now - ago : 0
        }
        var fields = Fields(text)
        guard let year = fields.number(4), fields.take("-"), let month = fields.number(2),
            fields.take("-"), let day = fields.number(2),
            let days = Self.days(year: year, month: month, day: day)
        else { return nil }
        if fields.isAtEnd { return UInt64(days) * Self.day }
        guard fields.take("T") || fields.take("t") || fields.take(" "),
            let hour = fields.number(2), hour < 24, fields.take(":"),
            let minute = fields.number(2), minute < 60
        else { return nil }
        var second = 0
        var micros = 0
        if fields.take(":") {
            // A leap second counts as the first of the next minute.
            guard let number = fields.number(2), number <= 60 else { return nil }
            second = number
            if fields.take(".") {
                guard let fraction = fields.fraction() else { return nil }
                micros = fraction
            }
        }
        guard let offset = fields.offset(), fields.isAtEnd else { return nil }
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        return seconds < 0 ? nil : UInt64(seconds) * Self.second + UInt64(micros)
    }

    // MARK: The calendar

    // Source of both: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", for years from
    // 1970 on. A year begins in March there, so that the leap day is its last.

    static func date(daysSince1970: Int) -> (year: Int, month: Int, day: Int) {
        let days = daysSince1970 + 719_468
        let dayOfEra = days % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + days / 146_097 * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    private static func days(year: Int, month: Int, day: Int) -> Int? {
        guard year >= 1970, (1...12).contains(month), (1...31).contains(day) else { return nil }
        let shiftedYear = month <= 2 ? year - 1 : year
        let yearOfEra = shiftedYear % 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = shiftedYear / 400 * 146_097 + dayOfEra - 719_468
        // The 30th of February would come back as a day of March.
        let back = Self.date(daysSince1970: days)
        return back.month == month && back.day == day ? days : nil
    }
}

/// Takes a time apart, from the left.
private struct Fields {
    private var rest: Substring.UTF8View

    init(_ text: String) {
        self.rest = text[...].utf8
    }

    var isAtEnd: Bool { self.rest.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let first = self.rest.first, UInt32(first) == character.value else { return false }
        self.rest.removeFirst()
        return true
    }

    /// Exactly so many digits.
    mutating func number(_ digits: Int) -> Int? {
        let text = self.rest.prefix(digits)
        guard text.count == digits, text.allSatisfy(Self.isDigit) else { return nil }
        self.rest.removeFirst(digits)
        return text.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    /// Digits after the point, as microseconds; further ones are dropped.
    mutating func fraction() -> Int? {
        let digits = self.rest.prefix(while: Self.isDigit)
        guard !digits.isEmpty else { return nil }
        self.rest.removeFirst(digits.count)
        let micros = Array(digits.prefix(6)) + Array(repeating: UInt8(ascii: "0"), count: 6)
        return micros.prefix(6).reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    /// `Z` or `+01:00`, in seconds.
    mutating func offset() -> Int? {
        if self.take("Z") || self.take("z") { return 0 }
        let sign: Int
        if self.take("+") { sign = 1 } else if self.take("-") { sign = -1 } else { return nil }
        guard let hours = self.number(2), hours < 24, self.take(":"), let minutes = self.number(2),
            minutes < 60
        else { return nil }
        return sign * (hours * 3600 + minutes * 60)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
