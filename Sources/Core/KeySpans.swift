/// What a receiver knows of the log from the distinct keys of its chunks, without having read them:
/// which chunks may hold something for it. Between those there is nothing.
///
/// Invariant: spans are known for (since, until]; hits lie in it, ascending.
package struct KeySpans: Sendable {
    package enum Next: Hashable, Sendable {
        /// Nobody has looked there.
        case unknown
        /// What follows may match.
        case something
        /// Up to here nothing matches.
        case nothing(upto: Position)
    }

    private var since: Position = .origin
    private var until: Position = .origin
    private var hits: [(before: Position, last: Position)] = []

    package init() {}

    package func next(after position: Position) -> Next {
        guard position >= self.since, position < self.until else { return .unknown }
        // The first hit that ends behind the position.
        var low = 0
        var high = self.hits.count
        while low < high {
            let middle = low + (high - low) / 2
            if self.hits[middle].last <= position { low = middle + 1 } else { high = middle }
        }
        guard low < self.hits.count else { return .nothing(upto: self.until) }
        let hit = self.hits[low]
        return hit.before <= position ? .something : .nothing(upto: hit.before)
    }

    /// Learns of the chunks after a position; forgets the others. Where chunks are missing, it says
    /// that something follows: whoever reads there finds out what.
    package mutating func learn(
        after position: Position, _ chunks: [ChunkKeys], _ filter: inout EventFilter
    ) {
        self.since = position
        self.until = position
        self.hits = []
        for chunk in chunks {
            guard chunk.first <= self.until.next else { break }
            if filter.mayMatch(chunk.keys) {
                self.hits.append((max(self.until, chunk.first.previous), chunk.last))
            }
            self.until = chunk.last
        }
        guard self.until == position else { return }
        self.until = position.next
        self.hits = [(position, position.next)]
    }
}
