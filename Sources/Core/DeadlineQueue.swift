/// Things to do at a time, earliest first; equal times in the order in which they were added. A
/// binary heap.
///
/// Entries are not removed when they are no longer needed: whoever is called checks whether there
/// still is something to do.
package struct DeadlineQueue<Item: Sendable>: Sendable {
    private struct Entry: Sendable {
        let at: Instant
        let order: UInt64
        let item: Item

        func isBefore(_ other: Entry) -> Bool {
            self.at == other.at ? self.order < other.order : self.at < other.at
        }
    }

    private var heap: [Entry] = []
    private var added: UInt64 = 0

    package init() {}

    package var count: Int { self.heap.count }
    package var earliest: Instant? { self.heap.first?.at }

    package mutating func add(_ item: Item, at: Instant) {
        self.added &+= 1
        self.heap.append(Entry(at: at, order: self.added, item: item))
        var child = self.heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard self.heap[child].isBefore(self.heap[parent]) else { break }
            self.heap.swapAt(child, parent)
            child = parent
        }
    }

    /// The earliest item whose time has come.
    package mutating func take(now: Instant) -> Item? {
        guard let first = self.heap.first, first.at <= now else { return nil }
        let last = self.heap.removeLast()
        if !self.heap.isEmpty {
            self.heap[0] = last
            self.sink()
        }
        return first.item
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < self.heap.count && self.heap[child].isBefore(self.heap[least]) {
                least = child
            }
            if least == parent { return }
            self.heap.swapAt(parent, least)
            parent = least
        }
    }
}
