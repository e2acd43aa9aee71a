/// Seals the events of publishes into chunks: cuts where a chunk is large enough, and writes each record's position and
/// time. Bytes are copied once, into the chunk's block.
package struct ChunkBuilder {
    /// Events that were published together and are in one chunk.
    private struct Piece {
        let events: EncodedEvents
        let indices: Range<Int>
        let time: Timestamp
    }

    private let chunkBytesMax: Int
    /// Of the chunk that is being gathered.
    private var first: Position
    private var pieces: [Piece] = []
    private var count = 0
    private var bytesCount = 0
    package private(set) var chunks: [Chunk] = []

    package init(after head: Position, chunkBytesMax: Int) {
        self.chunkBytesMax = chunkBytesMax
        self.first = head.next
    }

    /// Appends the events from `skipping` on. The caller has checked that the positions exist.
    package mutating func append(_ events: EncodedEvents, skipping: Int, at time: Timestamp) {
        var begin = skipping
        // Usually all of them fit, and none needs to be looked at.
        while self.bytesCount + events.bytesCount(begin..<events.count) > self.chunkBytesMax {
            var end = begin
            var bytes = self.bytesCount
            while end < events.count {
                let record = events.recordRange(end).count
                if bytes > 0, bytes + record > self.chunkBytesMax { break }
                bytes += record
                end += 1
            }
            self.add(events, begin..<end, at: time)
            if end == events.count { return }
            self.seal()
            begin = end
        }
        self.add(events, begin..<events.count, at: time)
    }

    /// Everything that was appended and is not in `chunks` yet becomes the last chunk.
    package mutating func finish() -> [Chunk] {
        self.seal()
        return self.chunks
    }

    private mutating func add(_ events: EncodedEvents, _ indices: Range<Int>, at time: Timestamp) {
        guard !indices.isEmpty else { return }
        self.pieces.append(Piece(events: events, indices: indices, time: time))
        self.count += indices.count
        self.bytesCount += events.bytesCount(indices)
    }

    private mutating func seal() {
        guard let oldest = self.pieces.first, let newest = self.pieces.last else { return }
        var writer = ChunkWriter(first: self.first, count: self.count)
        let block = ByteBlock(count: self.bytesCount) { target in
            for piece in self.pieces {
                writer.write(piece.events, piece.indices, at: piece.time, to: target)
            }
        }
        self.chunks.append(
            Chunk(
                first: self.first, last: writer.next.previous, firstAt: oldest.time,
                lastAt: newest.time, block: block, starts: writer.starts, keys: writer.keys.all))
        self.first = writer.next
        self.pieces.removeAll(keepingCapacity: true)
        self.count = 0
        self.bytesCount = 0
    }
}

/// Fills the block of one chunk.
private struct ChunkWriter {
    private(set) var next: Position
    private(set) var starts: [UInt32] = []
    private(set) var keys = DistinctKeys()
    private var offset = 0

    init(first: Position, count: Int) {
        self.next = first
        self.starts.reserveCapacity(count)
    }

    mutating func write(
        _ events: EncodedEvents, _ indices: Range<Int>, at time: Timestamp,
        to target: UnsafeMutableRawBufferPointer
    ) {
        let offset = self.offset
        let time = time.rawValue.littleEndian
        events.withRecords(indices) { bytes, starts in
            UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: bytes)
            for start in starts {
                let start = offset + Int(start - starts[starts.startIndex])
                self.starts.append(UInt32(start))
                let message = Varint.end(UnsafeRawBufferPointer(target), from: start + 1)
                target.storeBytes(
                    of: self.next.rawValue.littleEndian,
                    toByteOffset: message + EventRecord.positionOffset, as: UInt64.self)
                target.storeBytes(
                    of: time, toByteOffset: message + EventRecord.timeOffset, as: UInt64.self)
                self.keys.add(
                    EventRecord.key(UnsafeRawBufferPointer(target), ofMessageAt: message))
                self.next = self.next.next
            }
            self.offset += bytes.count
        }
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

}
