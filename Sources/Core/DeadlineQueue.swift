/// Things to do at a time, each of them once, earliest first; equal times in the order in which
/// they were added.
///
/// A binary heap that knows where each item stands, so that an item which is no longer needed is
/// removed at once: peers decide how many deadlines are set and given up, and none of those may
/// stay.
package struct DeadlineQueue<Item: Hashable & Sendable>: Sendable {
    private struct Entry: Sendable {
        let at: Instant
        let order: UInt64
        let item: Item

        func isBefore(_ other: Entry) -> Bool {
            self.at == other.at ? self.order < other.order : self.at < other.at
        }
    }

    private var heap: [Entry] = []
    private var places: [Item: Int] = [:]
    private var added: UInt64 = 0

    package init() {}

    package var count: Int { self.heap.count }
    package var earliest: Instant? { self.heap.first?.at }

    /// Sets the time of the item, whether it had one or not.
    package mutating func add(_ item: Item, at: Instant) {
        self.remove(item)
        self.added &+= 1
        self.heap.append(Entry(at: at, order: self.added, item: item))
        self.places[item] = self.heap.count - 1
        self.rise(from: self.heap.count - 1)
    }

    package mutating func remove(_ item: Item) {
        guard let place = self.places.removeValue(forKey: item) else { return }
        let last = self.heap.removeLast()
        guard place < self.heap.count else { return }
        self.put(last, at: place)
        self.rise(from: place)
        self.sink(from: place)
    }

    /// The earliest item whose time has come.
    package mutating func take(now: Instant) -> Item? {
        guard let first = self.heap.first, first.at <= now else { return nil }
        self.remove(first.item)
        return first.item
    }

    private mutating func put(_ entry: Entry, at place: Int) {
        self.heap[place] = entry
        self.places[entry.item] = place
    }

    private mutating func swap(_ one: Int, _ other: Int) {
        let entry = self.heap[one]
        self.put(self.heap[other], at: one)
        self.put(entry, at: other)
    }

    private mutating func rise(from start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard self.heap[child].isBefore(self.heap[parent]) else { return }
            self.swap(child, parent)
            child = parent
        }
    }

    private mutating func sink(from start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < self.heap.count && self.heap[child].isBefore(self.heap[least]) {
                least = child
            }
            if least == parent { return }
            self.swap(parent, least)
            parent = least
        }
    }
}
