/// Seals the events of publishes into chunks: writes each record's position and time, and cuts
/// where a chunk is large enough.
package struct ChunkBuilder {
    private let chunkBytesMax: Int
    private var next: Position
    private var first: Position
    private var firstAt: Timestamp = .zero
    private var lastAt: Timestamp = .zero
    private var bytes: [UInt8] = []
    private var starts: [UInt32] = []
    private var keys = DistinctKeys()
    package private(set) var chunks: [Chunk] = []

    package init(after head: Position, chunkBytesMax: Int) {
        self.chunkBytesMax = chunkBytesMax
        self.next = head.next
        self.first = head.next
    }

    /// Appends the events from `skipping` on. The caller has checked that the positions exist.
    package mutating func append(_ events: EncodedEvents, skipping: Int, at time: Timestamp) {
        for index in skipping..<events.count {
            let record = events.recordRange(index)
            if !self.bytes.isEmpty, self.bytes.count + record.count > self.chunkBytesMax {
                self.seal()
            }
            if self.starts.isEmpty { self.firstAt = time }
            self.lastAt = time
            self.starts.append(UInt32(self.bytes.count))
            self.append(record, of: events, at: time)
            events.withKey(at: index) { self.keys.add($0) }
            self.next = self.next.next
        }
    }

    /// Everything that was appended and is not in `chunks` yet becomes the last chunk.
    package mutating func finish() -> [Chunk] {
        self.seal()
        return self.chunks
    }

    private mutating func append(_ record: Range<Int>, of events: EncodedEvents, at time: Timestamp)
    {
        let start = self.bytes.count
        self.bytes.append(contentsOf: events.bytes[record])
        let message = start + 1 + Varint.lengthPrefixSize(ofRecord: record.count)
        let position = self.next.rawValue.littleEndian
        let time = time.rawValue.littleEndian
        self.bytes.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(
                of: position, toByteOffset: message + EventRecord.positionOffset, as: UInt64.self)
            bytes.storeBytes(
                of: time, toByteOffset: message + EventRecord.timeOffset, as: UInt64.self)
        }
    }

    private mutating func seal() {
        guard !self.starts.isEmpty else { return }
        self.chunks.append(
            Chunk(
                first: self.first, last: self.next.previous, firstAt: self.firstAt,
                lastAt: self.lastAt,
                block: ByteBlock(copying: self.bytes), starts: self.starts, keys: self.keys.all))
        self.first = self.next
        self.bytes.removeAll(keepingCapacity: true)
        self.starts.removeAll(keepingCapacity: true)
        self.keys.removeAll()
    }
}

/// Gathers the distinct keys of a chunk, in the order of their first events. Every event passes here, so a key that
/// was seen costs a hash and a comparison, and none when it is that of the event before.
private struct DistinctKeys {
    /// A power of two, four times `Chunk.distinctKeysMax`: most keys meet no other one's slot.
    private static let slotsCount = 256

    private var keys: [[UInt8]] = []
    /// Index into `keys`, plus one; 0 is free. A key lies in the first free slot from its hash on.
    private var slots = [UInt8](repeating: 0, count: Self.slotsCount)
    /// Index of the event before.
    private var newest = 0
    private var isTooMany = false

    var all: [[UInt8]]? { self.isTooMany ? nil : self.keys }

    mutating func add(_ key: UnsafeRawBufferPointer) {
        if self.isTooMany || (!self.keys.isEmpty && key.isEqual(to: self.keys[self.newest])) {
            return
        }
        var slot = Int(truncatingIfNeeded: key.quickHash) & (Self.slotsCount - 1)
        while self.slots[slot] != 0 {
            self.newest = Int(self.slots[slot]) - 1
            if key.isEqual(to: self.keys[self.newest]) { return }
            slot = (slot + 1) & (Self.slotsCount - 1)
        }
        guard self.keys.count < Chunk.distinctKeysMax else {
            self.isTooMany = true
            return
        }
        self.newest = self.keys.count
        self.keys.append(Array(key))
        self.slots[slot] = UInt8(self.keys.count)
    }

    mutating func removeAll() {
        guard !self.keys.isEmpty else { return }
        self = Self()
    }
}
