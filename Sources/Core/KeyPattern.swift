/// An AMQP topic pattern: words between dots, `*` stands for exactly one word, `#` for any number
/// of words, none included.
package struct KeyPattern: Hashable, Comparable, Sendable, CustomStringConvertible {
    private enum Word: Hashable, Sendable {
        case exactly([UInt8])
        case one
        case any
    }

    package let text: String
    private let words: [Word]

    package init(_ text: String) throws(Failure) {
        let bytes = Array(text.utf8)
        guard bytes.count <= EventKey.bytesMax else {
            throw Self.failure("has \(bytes.count) bytes")
        }
        var words: [Word] = []
        for part in bytes.split(separator: EventKey.dot, omittingEmptySubsequences: false) {
            switch Array(part) {
            case []: throw Self.failure(bytes.isEmpty ? "is empty" : "has an empty word")
            case [UInt8(ascii: "*")]: words.append(.one)
            case [UInt8(ascii: "#")]:
                // Two of them in a row say no more than one.
                if words.last != .any { words.append(.any) }
            case let word where word.allSatisfy(EventKey.isWordByte): words.append(.exactly(word))
            default: throw Self.failure("has the word '\(String(decoding: part, as: UTF8.self))'")
            }
        }
        self.text = text
        self.words = words
    }

    package init(bytes: some Collection<UInt8>) throws(Failure) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Self.failure("is not text")
        }
        try self.init(text)
    }

    package static func < (left: Self, right: Self) -> Bool { left.text < right.text }
    package static func == (left: Self, right: Self) -> Bool { left.text == right.text }
    package func hash(into hasher: inout Hasher) { hasher.combine(self.text) }
    package var description: String { self.text }

    /// How much there is to compare with a key.
    var wordsCount: Int { self.words.count }

    /// Whether every key matches: the filter then need not look at keys at all.
    package var matchesEverything: Bool { self.words == [.any] }

    /// Whether the key matches. Walks back to the last `#` only, so the cost is at most words ×
    /// words (255 × 128 steps).
    package func matches(_ key: UnsafeRawBufferPointer) -> Bool {
        var word = 0
        var offset = 0
        var retryWord: Int?
        var retryOffset = 0
        while true {
            if offset > key.count {
                return self.words[word...].allSatisfy { $0 == .any }
            }
            let end = Self.wordEnd(key, from: offset)
            if word < self.words.count, self.words[word] == .any {
                retryWord = word
                retryOffset = offset
                word += 1
            } else if word < self.words.count, Self.matches(self.words[word], key, offset..<end) {
                word += 1
                offset = end + 1
            } else if let back = retryWord {
                retryOffset = Self.wordEnd(key, from: retryOffset) + 1
                word = back + 1
                offset = retryOffset
            } else {
                return false
            }
        }
    }

    private static func wordEnd(_ key: UnsafeRawBufferPointer, from start: Int) -> Int {
        var end = start
        while end < key.count, key[end] != EventKey.dot { end += 1 }
        return end
    }

    private static func matches(_ word: Word, _ key: UnsafeRawBufferPointer, _ range: Range<Int>)
        -> Bool
    {
        switch word {
        case .one, .any: true
        case .exactly(let bytes):
            bytes.count == range.count && zip(bytes, key[range]).allSatisfy { $0 == $1 }
        }
    }

    private static func failure(_ problem: String) -> Failure {
        Failure(
            .invalidArgument,
            "the pattern \(problem); expected words of A-Z a-z 0-9 _ -, * or # joined by dots, such as 'order.*.#'"
        )
    }
}
