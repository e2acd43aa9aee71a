/// An AMQP topic pattern: words between dots, `*` stands for exactly one word, `#` for any number
/// of words, none included.
package struct KeyPattern: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Where a word lies in the pattern's bytes; a pattern has at most 255.
    private enum Word: Hashable, Sendable {
        case exactly(start: UInt8, count: UInt8)
        case one
        case any
    }

    package let text: String
    private let bytes: [UInt8]
    private let words: [Word]
    /// Indices of the first and the last `#`.
    private let anys: (first: Int, last: Int)?

    /// `#`
    package static let everything = KeyPattern()

    private init() {
        self.text = "#"
        self.bytes = [UInt8(ascii: "#")]
        self.words = [.any]
        self.anys = (0, 0)
    }

    package init(_ text: String) throws(Failure) {
        let bytes = Array(text.utf8)
        guard bytes.count <= EventKey.bytesMax else {
            throw Self.failure("has \(bytes.count) bytes")
        }
        var words: [Word] = []
        for part in bytes.split(separator: EventKey.dot, omittingEmptySubsequences: false) {
            switch part {
            case []: throw Self.failure(bytes.isEmpty ? "is empty" : "has an empty word")
            case [UInt8(ascii: "*")]: words.append(.one)
            case [UInt8(ascii: "#")]:
                // Two of them in a row say no more than one.
                if words.last != .any { words.append(.any) }
            case let word where word.allSatisfy(EventKey.isWordByte):
                words.append(
                    .exactly(start: UInt8(word.startIndex), count: UInt8(word.count)))
            default: throw Self.failure("has the word '\(String(decoding: part, as: UTF8.self))'")
            }
        }
        self.text = text
        self.bytes = bytes
        self.words = words
        let first = words.firstIndex(of: .any)
        let last = words.lastIndex(of: .any)
        self.anys = if let first, let last { (first, last) } else { nil }
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

    /// A word of a pattern, as the index wants it.
    enum Step {
        case exactly([UInt8])
        case one
        case any
    }

    var steps: [Step] {
        self.words.map { word in
            switch word {
            case .one: .one
            case .any: .any
            case .exactly(let start, let count):
                .exactly(Array(self.bytes[Int(start)..<Int(start) + Int(count)]))
            }
        }
    }

    /// How much there is to compare with a key.
    var wordsCount: Int { self.words.count }

    /// Whether every key matches: the filter then need not look at keys at all.
    package var matchesEverything: Bool { self.words == [.any] }

    package func matches(_ key: UnsafeRawBufferPointer) -> Bool {
        KeyWords.split(key) { self.matches($0) }
    }

    /// Whether the key matches. What is before the first `#` and behind the last one has its place;
    /// each part between two of them is looked for from the left, and where it is found first is as
    /// good as anywhere. The cost is at most a quarter of pattern's words × key's words, and one
    /// comparison of each for ordinary patterns.
    func matches(_ key: borrowing KeyWords) -> Bool {
        guard let anys = self.anys else {
            return self.words.count == key.count && self.matches(0..<self.words.count, key, at: 0)
        }
        let behind = anys.last + 1..<self.words.count
        let end = key.count - behind.count
        guard anys.first <= end, self.matches(0..<anys.first, key, at: 0),
            self.matches(behind, key, at: end)
        else { return false }
        var place = anys.first
        var word = anys.first + 1
        while word < anys.last {
            let next = self.words[word...].firstIndex(of: .any) ?? anys.last
            guard let found = self.find(word..<next, key, in: place..<end) else { return false }
            place = found + (next - word)
            word = next + 1
        }
        return true
    }

    /// Where these words are found first in a part of the key.
    private func find(_ words: Range<Int>, _ key: borrowing KeyWords, in places: Range<Int>) -> Int?
    {
        var place = places.lowerBound
        while place + words.count <= places.upperBound {
            if self.matches(words, key, at: place) { return place }
            place += 1
        }
        return nil
    }

    private func matches(_ words: Range<Int>, _ key: borrowing KeyWords, at place: Int) -> Bool {
        for index in words {
            switch self.words[index] {
            case .one, .any: continue
            case .exactly(let start, let count):
                let isSame = self.bytes.withUnsafeBytes { bytes in
                    key.word(
                        at: place + index - words.lowerBound,
                        is: UnsafeRawBufferPointer(
                            rebasing: bytes[Int(start)..<Int(start) + Int(count)]))
                }
                if !isSame { return false }
            }
        }
        return true
    }

    private static func failure(_ problem: String) -> Failure {
        Failure(
            .invalidArgument,
            "the pattern \(problem); expected words of A-Z a-z 0-9 _ -, * or # joined by dots, such as 'order.*.#'"
        )
    }
}

/// A key cut into its words, once for all patterns that look at it.
struct KeyWords: ~Copyable {
    private let key: UnsafeRawBufferPointer
    /// Where each word starts; one more for the end, as if a dot followed.
    private let starts: UnsafeMutableBufferPointer<UInt32>
    let count: Int

    /// Lends the words of the key.
    static func split<Result>(
        _ key: UnsafeRawBufferPointer, _ body: (borrowing KeyWords) -> Result
    ) -> Result {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: key.count + 2) { starts in
            starts[0] = 0
            var count = 0
            for index in 0..<key.count where key[index] == EventKey.dot {
                count += 1
                starts[count] = UInt32(index + 1)
            }
            starts[count + 1] = UInt32(key.count + 1)
            return body(KeyWords(key: key, starts: starts, count: count + 1))
        }
    }

    func word(at index: Int, is bytes: UnsafeRawBufferPointer) -> Bool {
        self.word(at: index).elementsEqual(bytes)
    }

    func word(at index: Int, is bytes: [UInt8]) -> Bool {
        self.word(at: index).elementsEqual(bytes)
    }

    func hash(at index: Int) -> UInt64 { fingerprint(self.word(at: index)) }

    private func word(at index: Int) -> Slice<UnsafeRawBufferPointer> {
        let start = Int(self.starts[index])
        return self.key[start..<Int(self.starts[index + 1]) - 1]
    }
}
