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
                lastAt: newest.time, block: block, starts: writer.starts, cost: writer.cost,
                keyIndex: writer.keys.index))
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
    /// Bytes of the messages, without the records' tags and lengths.
    private(set) var cost = 0
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
                self.cost -= message - start
                target.storeBytes(
                    of: self.next.rawValue.littleEndian,
                    toByteOffset: message + EventRecord.positionOffset, as: UInt64.self)
                target.storeBytes(
                    of: time, toByteOffset: message + EventRecord.timeOffset, as: UInt64.self)
                self.keys.add(
                    EventRecord.key(UnsafeRawBufferPointer(target), ofMessageAt: message))
                self.next = self.next.next
            }
            self.cost += bytes.count
            self.offset += bytes.count
        }
    }
}

/// Gathers the distinct keys of a chunk.
private struct DistinctKeys {
    private var known = KeySet(keysMax: Chunk.distinctKeysMax)
    private var places: [UInt8] = []
    private var isTooMany = false

    var index: Chunk.KeyIndex? {
        self.isTooMany ? nil : Chunk.KeyIndex(keys: self.known.keys, places: self.places)
    }

    mutating func add(_ key: UnsafeRawBufferPointer) {
        guard !self.isTooMany else { return }
        if let number = self.known.number(of: key) {
            self.places.append(UInt8(number))
        } else {
            self.isTooMany = true
        }
    }

}
