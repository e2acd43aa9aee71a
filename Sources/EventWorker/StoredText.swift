/// Text from anywhere — an error, a key of Kafka, a token's name — as Postgres can keep it. What cannot be written
/// down could not be set aside, and would end the worker again and again.
enum StoredText {
    /// An entry of an index has at most 2,704 bytes.
    private static let keyBytesMax = 512
    /// A page of a terminal. An error may repeat a whole payload.
    private static let reasonCharactersMax = 2_000

    /// Without U+0000, which texts of Postgres cannot have.
    static func clean(_ text: String) -> String {
        guard text.utf8.contains(0) else { return text }
        return String(decoding: text.utf8.map { $0 == 0 ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }

    static func reason(_ text: String) -> String {
        Self.clean(String(text.prefix(Self.reasonCharactersMax)))
    }

    /// The same for the same key, for ever. Two keys that become one only wait for each other more than they must.
    static func orderingKey(_ key: String) -> String {
        let clean = Self.clean(key)
        guard clean.utf8.count > Self.keyBytesMax else { return clean }
        // FNV-1a, 64 bits.
        let hash = key.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        let start = String(decoding: clean.utf8.prefix(Self.keyBytesMax / 2), as: UTF8.self)
        return "\(start)…\(String(hash, radix: 16))"
    }
}
