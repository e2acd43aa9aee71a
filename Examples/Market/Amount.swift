/// A whole number of up to 78 digits, as chains have them (u256). It is only carried and compared by the database,
/// so it stays text: no float, and no bound of 64 bits.
struct Amount: Hashable, Sendable, Decodable {
    let digits: String

    static let one = Amount(digits: "1")

    private init(digits: String) { self.digits = digits }

    init(_ number: UInt64) { self.digits = String(number) }

    /// nil: anything else than digits.
    init?(_ text: String) {
        guard (1...78).contains(text.utf8.count),
            text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        self.digits = text
    }

    /// Seconds in microseconds.
    var microseconds: Amount {
        // 78 digits of seconds are no time at all, and stay what they are.
        Amount(self.digits + "000000") ?? self
    }

    /// Nodes write u64 and larger as text.
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let amount = Amount(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a whole number written as text")
        }
        self = amount
    }
}
