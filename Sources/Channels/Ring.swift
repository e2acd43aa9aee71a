/// A first-in, first-out queue in one growing circular buffer: both ends cost O(1).
package struct Ring<Element> {
    private var slots: [Element?]
    private var head = 0
    package private(set) var count = 0

    var isEmpty: Bool { self.count == 0 }

    package init(capacity: Int = 0) {
        self.slots = Array(repeating: nil, count: capacity)
    }

    package mutating func append(_ element: Element) {
        if self.count == self.slots.count { self.grow() }
        self.slots[(self.head + self.count) % self.slots.count] = element
        self.count += 1
    }

    package mutating func popFirst() -> Element? {
        guard self.count > 0 else { return nil }
        defer {
            self.head = (self.head + 1) % self.slots.count
            self.count -= 1
        }
        return self.slots[self.head].take()
    }

    /// Removes and returns the first element that satisfies `condition`; O(n), for cancellations.
    mutating func remove(where condition: (Element) -> Bool) -> Element? {
        var found: Element?
        for _ in 0..<self.count {
            guard let element = self.popFirst() else { break }
            if found == nil, condition(element) {
                found = element
            } else {
                self.append(element)
            }
        }
        return found
    }

    private mutating func grow() {
        var slots: [Element?] = []
        slots.reserveCapacity(max(4, 2 * self.count))
        for offset in 0..<self.count {
            slots.append(self.slots[(self.head + offset) % self.slots.count])
        }
        slots.append(contentsOf: repeatElement(nil, count: max(4, self.count)))
        self.slots = slots
        self.head = 0
    }
}

extension Ring: Sendable where Element: Sendable {}
