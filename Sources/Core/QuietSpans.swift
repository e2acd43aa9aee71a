/// What is known of a receiver without looking: between the chunks that held something for it, as its
/// exchange's index found when they were committed, there is nothing.
package struct QuietSpans: Sendable {
    /// Chunks that are remembered. Live subscribers are within a few of each other; the others look
    /// for themselves.
    private static let hitsMax = 32

    /// All chunks after it are among the hits, or hold nothing.
    private var since: Position
    /// Chunks that may hold something, ascending.
    private var hits: [(before: Position, last: Position)] = []

    /// `since`: the newest position when the receiver entered the index.
    package init(since: Position) {
        self.since = since
    }

    package mutating func hit(_ chunk: Chunk) {
        if self.hits.count == Self.hitsMax { self.since = self.hits.removeFirst().last }
        self.hits.append((chunk.first.previous, chunk.last))
    }

    /// Up to where there is nothing after `position`; `position` itself when that is not known.
    /// `indexed`: the newest position that the index has seen.
    package func end(after position: Position, upto indexed: Position) -> Position {
        guard position >= self.since else { return position }
        // From behind: nearly everybody is at the end.
        var end = max(position, indexed)
        for hit in self.hits.reversed() {
            if hit.last <= position { break }
            end = max(position, hit.before)
        }
        return end
    }
}
