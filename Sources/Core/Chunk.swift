/// Consecutive events of one exchange, stored and sent as one block of bytes: event records (see
/// `EventRecord`) one after the other, from position `first` to `last` without a hole.
package struct Chunk: Sendable {
    package let first: Position
    package let last: Position
    package let firstAt: Timestamp
    package let lastAt: Timestamp
    package let block: ByteBlock
    /// Where each record starts in the block; a record ends where the next one starts.
    package let starts: [UInt32]
    /// What the events cost in credit, all together: the block without tags and lengths.
    package let cost: Int
    /// Which key each event has; nil when there are too many, or when nobody has looked: a chunk
    /// that was read from the log.
    package let keyIndex: KeyIndex?

    /// More are of little use to a filter, which then looks at every event, and cost as much as a
    /// small chunk. A filter also counts on their verdicts fitting into 64 bits.
    package static let distinctKeysMax = 64

    /// The distinct keys of a chunk's events, in the order in which they come first: a filter judges
    /// each of them once instead of each event.
    package struct KeyIndex: Hashable, Sendable {
        package let keys: [[UInt8]]
        /// For each event the place of its key in `keys`.
        package let places: [UInt8]
    }

    package var keys: [[UInt8]]? { self.keyIndex?.keys }

    package var count: Int { self.starts.count }
    package var bytesCount: Int { self.block.count }
    /// What it takes in memory, about: the block, four bytes for each record and one for its key's
    /// place, the keys with an array each, and some hundred for the objects, which is what counts
    /// when chunks hold one event.
    package var memoryBytes: Int {
        512 + self.block.count + 4 * self.count + (self.keyIndex?.places.count ?? 0)
            + (self.keys ?? []).reduce(0) { $0 + 48 + $1.count }
    }

    /// Takes what a builder in this module made; `starts` is not empty and the records carry first,
    /// first + 1, ….
    init(
        first: Position, last: Position, firstAt: Timestamp, lastAt: Timestamp, block: ByteBlock,
        starts: [UInt32], cost: Int, keyIndex: KeyIndex?
    ) {
        self.first = first
        self.last = last
        self.firstAt = firstAt
        self.lastAt = lastAt
        self.block = block
        self.starts = starts
        self.cost = cost
        self.keyIndex = keyIndex
    }

    /// Reads a stored chunk: checks that it holds exactly `count` records that carry the positions
    /// from `first` on. A failure means that the table was changed by somebody else.
    package init(first: Position, count: Int, block: ByteBlock) throws(Failure) {
        guard
            let (starts, cost) = block.withUnsafeBytes({ Self.scan($0, first: first, count: count) }
            ),
            let last = first.previous.advanced(by: count)
        else {
            let damage = block.withUnsafeBytes { Self.damage($0, first: first, count: count) }
            throw Failure(
                .internal,
                "the chunk at position \(first) is damaged: \(damage); compare with dormouse.chunk and "
                    + "restore it from a backup")
        }
        self.init(
            first: first, last: last,
            firstAt: block.withUnsafeBytes { Self.time($0, recordAt: Int(starts[0])) },
            lastAt: block.withUnsafeBytes { Self.time($0, recordAt: Int(starts[count - 1])) },
            block: block, starts: starts, cost: cost, keyIndex: nil)
    }

    /// The record at `index`, tag and length included.
    package func recordRange(_ index: Int) -> Range<Int> {
        let end = index + 1 < self.starts.count ? Int(self.starts[index + 1]) : self.block.count
        return Int(self.starts[index])..<end
    }

    /// Bytes of the event message at `index`: what it costs in credit.
    package func messageBytes(_ index: Int) -> Int {
        let record = self.recordRange(index)
        return record.count - 1 - Varint.lengthPrefixSize(ofRecord: record.count)
    }

    /// Index of the event after `position`, which lies in [first - 1, last].
    package func index(after position: Position) -> Int {
        Int(min(UInt64(self.count), position.distance(from: self.first.previous)))
    }

    package func position(at index: Int) -> Position {
        Position(self.first.rawValue + UInt64(index))
    }

    package func time(at index: Int) -> Timestamp {
        self.block.withUnsafeBytes { Self.time($0, recordAt: Int(self.starts[index])) }
    }

    /// Lends the key of the event at `index`.
    package func withKey<Result>(at index: Int, _ body: (UnsafeRawBufferPointer) -> Result)
        -> Result
    {
        self.block.withUnsafeBytes { bytes in
            var offset =
                Self.messageStart(bytes, recordAt: Int(self.starts[index]))
                + EventRecord.keyLengthOffset
            let count = Varint.readLength(bytes, at: &offset) ?? 0
            return body(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
        }
    }

    private static func messageStart(_ bytes: UnsafeRawBufferPointer, recordAt start: Int) -> Int {
        var offset = start + 1
        _ = Varint.read(bytes, at: &offset)
        return offset
    }

    private static func time(_ bytes: UnsafeRawBufferPointer, recordAt start: Int) -> Timestamp {
        let offset = Self.messageStart(bytes, recordAt: start) + EventRecord.timeOffset
        return Timestamp(
            rawValue: UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
    }

    /// Starts of the records and bytes of their messages, or nil when the bytes are not `count` records with the right
    /// positions and a key each.
    private static func scan(_ bytes: UnsafeRawBufferPointer, first: Position, count: Int)
        -> (starts: [UInt32], cost: Int)?
    {
        guard first > .origin, count > 0, count <= bytes.count / 20,
            bytes.count < Int(UInt32.max)
        else {
            return nil
        }
        var starts: [UInt32] = []
        starts.reserveCapacity(count)
        var offset = 0
        var cost = 0
        var expected = first.rawValue
        while offset < bytes.count {
            starts.append(UInt32(offset))
            guard bytes[offset] == EventRecord.tag else { return nil }
            offset += 1
            guard let length = Varint.readLength(bytes, at: &offset),
                length > EventRecord.keyLengthOffset,
                Self.isHead(bytes, at: offset, length: length, position: expected)
            else { return nil }
            offset += length
            cost += length
            expected &+= 1
        }
        return starts.count == count ? (starts, cost) : nil
    }

    /// What `scan` did not like, for people.
    private static func damage(
        _ bytes: UnsafeRawBufferPointer, first: Position, count: Int
    ) -> String {
        var offset = 0
        var found: UInt64 = 0
        while offset < bytes.count {
            let expected = first.rawValue &+ found
            let isRecord = bytes[offset] == EventRecord.tag
            offset += 1
            guard isRecord, let length = Varint.readLength(bytes, at: &offset),
                length > EventRecord.keyLengthOffset
            else { return "no event can be read where position \(expected) is expected" }
            let position = UInt64(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: offset + EventRecord.positionOffset, as: UInt64.self))
            guard position == expected else {
                return "position \(position) stands where \(expected) is expected"
            }
            guard Self.isHead(bytes, at: offset, length: length, position: expected) else {
                return "the event at position \(expected) cannot be read"
            }
            offset += length
            found &+= 1
        }
        return "it holds \(found) events, and its row says \(count)"
    }

    private static func isHead(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, length: Int, position: UInt64
    ) -> Bool {
        var key = offset + EventRecord.keyLengthOffset
        return bytes[offset] == EventRecord.positionTag
            && bytes[offset + EventRecord.timeOffset - 1] == EventRecord.timeTag
            && bytes[offset + EventRecord.keyLengthOffset - 1] == EventRecord.keyTag
            && UInt64(
                littleEndian: bytes.loadUnaligned(
                    fromByteOffset: offset + EventRecord.positionOffset, as: UInt64.self))
                == position
            && (Varint.readLength(
                UnsafeRawBufferPointer(rebasing: bytes[..<(offset + length)]), at: &key) != nil)
    }
}

extension Varint {
    /// Bytes of the length in front of a message, given the bytes of tag, length and message
    /// together. The longest length that fits is the right one, since lengths are written in their
    /// shortest form.
    static func lengthPrefixSize(ofRecord recordBytes: Int) -> Int {
        var size = 1
        while Varint.size(recordBytes - 1 - size) > size { size += 1 }
        return size
    }
}
