/// What a subscriber is sent of one chunk: the matching events after a position, as far as its
/// credit and a frame go.
package struct Portion: Hashable, Sendable {
    /// Where the portion begins: nothing up to here is in it.
    package let after: Position
    /// Bytes of the chunk's block, neighbours joined, in order.
    package private(set) var ranges: [Range<Int>] = []
    package private(set) var events = 0
    /// What the events cost in byte credit.
    package private(set) var cost = 0
    package private(set) var bytes = 0
    /// All matching events after the start and up to here are in the portion.
    package private(set) var upto: Position
    /// The next event does not fit into a frame even alone.
    package private(set) var isStuck = false

    /// What may still be sent. The last event may overdraw the byte credit, or one larger than all
    /// of it could never be sent.
    package struct Allowance: Hashable, Sendable {
        package var events: Int
        package var cost: Int
        package var frameBytes: Int

        package init(events: Int, cost: Int, frameBytes: Int) {
            self.events = events
            self.cost = cost
            self.frameBytes = frameBytes
        }
    }

    package init(
        of chunk: Chunk, after: Position, upto end: Position, matches: Matches, allowance: Allowance
    ) {
        self.after = after
        self.upto = min(end, chunk.last)
        let start = chunk.index(after: after)
        let stop = chunk.index(after: self.upto)
        switch matches {
        case .none: break
        case .all: self.addAll(chunk, start..<stop, allowance)
        case .some(let indices):
            for index in indices[Self.lowerBound(indices, start)...] where Int(index) < stop {
                guard self.add(chunk, Int(index), allowance) else { break }
            }
        }
    }

    private mutating func addAll(_ chunk: Chunk, _ range: Range<Int>, _ allowance: Allowance) {
        let from = range.isEmpty ? chunk.block.count : Int(chunk.starts[range.lowerBound])
        let to =
            range.upperBound < chunk.count ? Int(chunk.starts[range.upperBound]) : chunk.block.count
        // The common case: everything fits, so no event needs to be looked at. Records are a little
        // larger than their cost.
        if from < to, range.count <= allowance.events,
            to - from <= min(allowance.cost, allowance.frameBytes)
        {
            self.ranges = [from..<to]
            self.events = range.count
            self.bytes = to - from
            self.cost =
                range.count == chunk.count ? chunk.cost : self.bytes - chunk.prefixBytes(range)
            return
        }
        for index in range {
            guard self.add(chunk, index, allowance) else { return }
        }
    }

    private mutating func add(_ chunk: Chunk, _ index: Int, _ allowance: Allowance) -> Bool {
        let record = chunk.recordRange(index)
        let fits = self.bytes + record.count <= allowance.frameBytes
        guard fits, self.events < allowance.events, self.cost < allowance.cost else {
            self.upto = chunk.position(at: index).previous
            self.isStuck = !fits && self.events == 0
            return false
        }
        if let last = self.ranges.indices.last, self.ranges[last].upperBound == record.lowerBound {
            self.ranges[last] = self.ranges[last].lowerBound..<record.upperBound
        } else {
            self.ranges.append(record)
        }
        self.events += 1
        self.bytes += record.count
        self.cost += chunk.messageBytes(index)
        return true
    }

    private static func lowerBound(_ indices: [UInt32], _ value: Int) -> Int {
        var low = 0
        var high = indices.count
        while low < high {
            let middle = low + (high - low) / 2
            if Int(indices[middle]) < value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension Chunk {
    /// Bytes of tags and lengths of the records in `range`: what they take beyond their cost.
    fileprivate func prefixBytes(_ range: Range<Int>) -> Int {
        range.reduce(0) { $0 + 1 + Varint.lengthPrefixSize(ofRecord: self.recordRange($1).count) }
    }
}
