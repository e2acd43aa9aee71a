internal import Core
internal import Wire

/// What was compressed lately, so that it is done once for a chunk and not once for each of its subscribers.
struct CompressedBlocks {
    private struct Entry {
        /// Kept, so that no other block can have its identity meanwhile.
        let block: ByteBlock
        /// nil: it does not become smaller.
        let compressed: ByteBlock?

        var bytes: Int { self.block.count + (self.compressed?.count ?? 0) }
    }

    /// Smaller ones cost more in work than they save in bytes.
    private static let blockBytesMin = 1_024
    /// What compressing costs, in bytes for a unit of `EventFilter.work`: about 500 MB/s.
    private static let bytesPerWork = 10

    /// Oldest first.
    private var entries: [Entry] = []
    private var bytes = 0

    /// The block compressed, or nil when that does not pay.
    mutating func compressed(_ block: ByteBlock, work: inout Int) -> ByteBlock? {
        guard block.count >= Self.blockBytesMin else { return nil }
        if let known = self.entries.first(where: { $0.block === block }) { return known.compressed }
        work += block.count / Self.bytesPerWork
        let entry = Entry(block: block, compressed: LZ4.compress(block))
        self.entries.append(entry)
        self.bytes += entry.bytes
        while self.entries.count > Limits.compressedBlocksMax
            || self.bytes > Limits.compressedBytesMax
        {
            self.bytes -= self.entries.removeFirst().bytes
        }
        return entry.compressed
    }
}
