/// The newest chunks of an exchange, in memory, within a byte budget (see `TailBudget`).
///
/// Invariant: chunks are contiguous and the last one ends at the exchange's head (or there is
/// none).
package struct TailBuffer {
    private var chunks: [Chunk] = []
    /// Chunks before this index are gone; the array is compacted now and then instead of at each
    /// removal.
    private var start = 0
    package private(set) var bytes = 0
    /// Stands where an evicted chunk was until the array is compacted, so that its block is freed
    /// at once.
    private static let evicted = Chunk(
        first: .origin, last: .origin, firstAt: .zero, lastAt: .zero,
        block: ByteBlock(count: 0) { _ in }, starts: [], cost: 0, keyIndex: nil)

    package init() {}

    package var isEmpty: Bool { self.start == self.chunks.count }
    package var first: Position? { self.isEmpty ? nil : self.chunks[self.start].first }
    /// When the oldest event was published.
    package var firstAt: Timestamp { self.isEmpty ? .zero : self.chunks[self.start].firstAt }
    package var chunksCount: Int { self.chunks.count - self.start }

    package mutating func append(_ chunk: Chunk) {
        self.chunks.append(chunk)
        self.bytes += chunk.memoryBytes
    }

    /// Drops the oldest chunks until at most `budget` bytes are left. The newest chunk always
    /// stays: live subscribers are about to read it.
    package mutating func evict(to budget: Int) {
        while self.bytes > budget, self.chunksCount > 1 {
            self.bytes -= self.chunks[self.start].memoryBytes
            self.chunks[self.start] = Self.evicted
            self.start += 1
        }
        if self.start > 64, self.start * 2 > self.chunks.count {
            self.chunks.removeFirst(self.start)
            self.start = 0
        }
    }

    /// Drops the oldest chunk, unless it is the only one.
    package mutating func evictOldest() {
        guard self.chunksCount > 1 else { return }
        self.evict(to: self.bytes - self.chunks[self.start].memoryBytes)
    }

    /// The chunk that holds the position after `after`; nil when that is not in the tail.
    package func chunk(after: Position) -> Chunk? {
        let position = after.next
        guard let first = self.first, position >= first else { return nil }
        var low = self.start
        var high = self.chunks.count
        while low < high {
            let middle = low + (high - low) / 2
            if self.chunks[middle].last < position { low = middle + 1 } else { high = middle }
        }
        return low < self.chunks.count ? self.chunks[low] : nil
    }
}
