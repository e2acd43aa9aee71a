/// Which events of a chunk a config lets through.
package enum Matches: Hashable, Sendable {
    case all
    case none
    /// Indices into the chunk, ascending.
    case some([UInt32])
}

/// Applies a receiver config to chunks. Verdicts on keys are remembered, since keys repeat far more
/// often than they are new.
package struct EventFilter {
    /// Remembered keys; 256 × about 300 bytes per receiver at most. When full, it starts anew.
    private static let verdictsMax = 256

    /// A header is copied to be looked at.
    private static let headerWork = 8
    /// Events of which a key's place is looked up in the time in which one word is compared.
    private static let placesPerWork = 16

    package let config: ReceiverConfig
    private let anyKey: Bool
    private let wordsCount: Int
    private var known = KeySet(keysMax: verdictsMax)
    /// By the number of the known key.
    private var verdicts: [Bool] = []
    /// What it has done so far, in words of patterns compared with a key, about: whoever filters
    /// for many knows by it when to let others have their turn.
    package private(set) var work = 0

    package init(_ config: ReceiverConfig) {
        self.config = config
        self.anyKey =
            config.patterns.isEmpty || config.patterns.contains(where: \.matchesEverything)
        self.wordsCount = config.patterns.reduce(0) { $0 + $1.wordsCount }
    }

    package mutating func matches(_ chunk: Chunk) -> Matches {
        let matches =
            if self.anyKey {
                Matches.all
            } else if let index = chunk.keyIndex {
                self.matches(index)
            } else {
                self.matchesOfEach(chunk)
            }
        if self.config.headers.isEmpty { return matches }
        let candidates =
            switch matches {
            case .none: [] as [UInt32]
            case .all: Array(0..<UInt32(chunk.count))
            case .some(let indices): indices
            }
        self.work += candidates.count * Self.headerWork * self.config.headers.count
        return Self.matches(
            candidates.filter { self.passesHeaders(chunk, Int($0)) }, of: chunk.count)
    }

    /// Whether the keys of a chunk can tell that it holds nothing.
    package var judgesKeys: Bool { !self.anyKey }

    /// Whether a chunk with these distinct keys may hold something; nil: they are not known.
    package mutating func mayMatch(_ keys: [[UInt8]]?) -> Bool {
        guard !self.anyKey, let keys else { return true }
        self.work += keys.count
        return keys.contains { key in key.withUnsafeBytes { self.verdict($0) } }
    }

    /// Whether an event with this key may be let through, as far as keys tell.
    package mutating func passes(_ key: UnsafeRawBufferPointer) -> Bool {
        self.anyKey || self.verdict(key)
    }

    /// Gives back the memory of verdicts.
    package mutating func forget() {
        self.known = KeySet(keysMax: Self.verdictsMax)
        self.verdicts = []
    }

    /// Each key is judged once, and the events are told apart by the numbers of their keys.
    private mutating func matches(_ index: Chunk.KeyIndex) -> Matches {
        var passing: UInt64 = 0
        for (place, key) in index.keys.enumerated() {
            let passes = key.withUnsafeBytes { self.verdict($0) }
            if passes { passing |= 1 << UInt64(place) }
        }
        self.work += index.keys.count
        if passing == 0 { return .none }
        if passing.nonzeroBitCount == index.keys.count { return .all }
        self.work += index.places.count / Self.placesPerWork
        var indices: [UInt32] = []
        for (event, place) in index.places.enumerated() where passing &>> UInt64(place) & 1 == 1 {
            indices.append(UInt32(event))
        }
        // Each key is there, so some pass and some do not.
        return .some(indices)
    }

    private mutating func matchesOfEach(_ chunk: Chunk) -> Matches {
        self.work += chunk.count
        var indices: [UInt32] = []
        for event in 0..<chunk.count where chunk.withKey(at: event, { self.verdict($0) }) {
            indices.append(UInt32(event))
        }
        return Self.matches(indices, of: chunk.count)
    }

    private static func matches(_ indices: [UInt32], of count: Int) -> Matches {
        if indices.isEmpty { return .none }
        return indices.count == count ? .all : .some(indices)
    }

    private mutating func verdict(_ key: UnsafeRawBufferPointer) -> Bool {
        var number = self.known.number(of: key)
        if number == nil {
            self.known.removeAll()
            self.verdicts.removeAll(keepingCapacity: true)
            number = self.known.number(of: key)
        }
        if let number, number < self.verdicts.count { return self.verdicts[number] }
        let verdict = KeyWords.split(key) { words in
            self.config.patterns.contains { $0.matches(words) }
        }
        self.work += self.wordsCount
        self.verdicts.append(verdict)
        return verdict
    }

    private func passesHeaders(_ chunk: Chunk, _ index: Int) -> Bool {
        let headers = chunk.headers(at: index)
        return self.config.headers.allSatisfy { match in
            let values = headers.lazy.filter { $0.name == match.name }.map(\.value)
            switch match.kind {
            case .exists: return !values.isEmpty
            case .absent: return values.isEmpty
            case .equals: return values.contains(match.value)
            case .prefix: return values.contains { $0.starts(with: match.value) }
            }
        }
    }
}

extension Chunk {
    /// The headers of the event at `index`, copied.
    package func headers(at index: Int) -> [Header] {
        self.block.withUnsafeBytes { bytes in
            let range = self.recordRange(index)
            let record = UnsafeRawBufferPointer(rebasing: bytes[range])
            var offset = 1
            guard Varint.read(record, at: &offset) != nil else { return [] }
            offset += EventRecord.keyLengthOffset - 1
            var headers: [Header] = []
            while offset < record.count {
                let tag = record[offset]
                offset += 1
                guard let count = Varint.readLength(record, at: &offset) else { return headers }
                if tag == EventRecord.headerTag {
                    headers.append(
                        Self.header(
                            UnsafeRawBufferPointer(rebasing: record[offset..<offset + count])))
                }
                offset += count
            }
            return headers
        }
    }

    private static func header(_ bytes: UnsafeRawBufferPointer) -> Header {
        var header = Header(name: [], value: [])
        var offset = 0
        while offset < bytes.count {
            let tag = bytes[offset]
            offset += 1
            guard let count = Varint.readLength(bytes, at: &offset) else { return header }
            let value = Array(bytes[offset..<offset + count])
            switch tag {
            case EventRecord.headerNameTag: header.name = value
            case EventRecord.headerValueTag: header.value = value
            default: break
            }
            offset += count
        }
        return header
    }
}
