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

    package let config: ReceiverConfig
    private let anyKey: Bool
    private let wordsCount: Int
    private var verdicts: [[UInt8]: Bool] = [:]
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
        if self.anyKey, self.config.headers.isEmpty { return .all }
        if !self.anyKey, let keys = chunk.keys {
            // Most chunks are decided by their few distinct keys.
            let passing = keys.count { self.verdict($0) }
            if passing == 0 { return .none }
            if passing == keys.count, self.config.headers.isEmpty { return .all }
        }
        self.work += chunk.count * (1 + Self.headerWork * self.config.headers.count)
        var indices: [UInt32] = []
        var previousKey: [UInt8] = []
        var previousVerdict = false
        for index in 0..<chunk.count {
            let passes = chunk.withKey(at: index) { key -> Bool in
                if self.anyKey { return true }
                if key.elementsEqual(previousKey) { return previousVerdict }
                previousKey = Array(key)
                previousVerdict = self.verdict(previousKey)
                return previousVerdict
            }
            if passes, self.passesHeaders(chunk, index) { indices.append(UInt32(index)) }
        }
        if indices.isEmpty { return .none }
        return indices.count == chunk.count ? .all : .some(indices)
    }

    /// Gives back the memory of verdicts.
    package mutating func forget() { self.verdicts = [:] }

    private mutating func verdict(_ key: [UInt8]) -> Bool {
        if let known = self.verdicts[key] { return known }
        let verdict = key.withUnsafeBytes { bytes in
            KeyWords.split(bytes) { words in
                self.config.patterns.contains { $0.matches(words) }
            }
        }
        self.work += self.wordsCount
        if self.verdicts.count >= Self.verdictsMax {
            self.verdicts.removeAll(keepingCapacity: true)
        }
        self.verdicts[key] = verdict
        return verdict
    }

    private func passesHeaders(_ chunk: Chunk, _ index: Int) -> Bool {
        if self.config.headers.isEmpty { return true }
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
