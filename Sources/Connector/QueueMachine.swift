package import Core

// Deliveries of a queue on their way into an exchange.
//
// 1. What comes is gathered in order, published, and acknowledged to the broker when it is committed: so a message that the
//    broker forgets is in the log.
// 2. After a lost connection the broker sends again what was not acknowledged, and marks it. A marked message whose id is
//    among the newest ids that went into the log is there already: it is acknowledged, and not published.
// 3. An id counts only on messages that are marked: publishers may use one for several messages.
// 4. Tags are of one connection, and count its messages: 1, 2, 3 … With a new one, what was gathered is forgotten, since it comes
//    again.
//
// Invariant: acknowledged ≤ settled ≤ newest.

package struct QueueMachine {
    /// Ids that are remembered. More than a broker has under way with us, many times over.
    package static let idsMax = 10_000

    package private(set) var gatheredBytes = 0
    package private(set) var duplicates = 0
    private var gathered: [(event: Event, id: [UInt8], bytes: Int)] = []
    /// Tags: of the newest message, of the newest that is in the log with all before it, of the newest that the
    /// broker was told of.
    private var newest: UInt64 = 0
    private var settled: UInt64 = 0
    private var acknowledged: UInt64 = 0
    private var known: Set<[UInt8]> = []
    private var order: [[UInt8]] = []
    private var oldest = 0

    package init() {}

    package var isEmpty: Bool { self.gathered.isEmpty }
    package var gatheredCount: Int { self.gathered.count }

    /// Whether an event with this id is known to be in the log.
    package func knows(_ id: [UInt8]) -> Bool { self.known.contains(id) }

    /// An event with this id is in the log.
    package mutating func remember(_ id: [UInt8]) {
        guard !id.isEmpty, self.known.insert(id).inserted else { return }
        if self.order.count < Self.idsMax { return self.order.append(id) }
        self.known.remove(self.order[self.oldest])
        self.order[self.oldest] = id
        self.oldest = (self.oldest + 1) % Self.idsMax
    }

    package mutating func connected() {
        self.dropGathered()
        (self.newest, self.settled, self.acknowledged) = (0, 0, 0)
    }

    /// A message came, with the event that it is. false: one before it has not, and its acknowledgement would be one of that, too;
    /// with a new connection all of them come again.
    package mutating func received(
        tag: UInt64, id: [UInt8], isRedelivered: Bool, _ event: Event, bytes: Int
    ) -> Bool {
        guard tag == self.newest + 1 else { return false }
        self.newest = tag
        if isRedelivered, !id.isEmpty, self.known.contains(id) {
            self.duplicates += 1
            if self.gathered.isEmpty { self.settled = tag }
            return true
        }
        self.gathered.append((event, id, bytes))
        self.gatheredBytes += bytes
        return true
    }

    /// The next events to publish; none when there are none. More than one only as long as they have at most `bytesMax`
    /// together: a publish must fit a frame.
    package func nextRun(bytesMax: Int = .max) -> [Event] {
        var events: [Event] = []
        var bytes = 0
        for entry in self.gathered {
            bytes += entry.bytes
            guard events.isEmpty || bytes <= bytesMax else { break }
            events.append(entry.event)
        }
        return events
    }

    /// The first `count` gathered events are committed. With the last of them everything that came is in the log.
    package mutating func published(_ count: Int) {
        guard count > 0, count <= self.gathered.count else { return }
        for entry in self.gathered[..<count] {
            self.remember(entry.id)
            self.gatheredBytes -= entry.bytes
        }
        self.gathered.removeFirst(count)
        if self.gathered.isEmpty { self.settled = self.newest }
    }

    /// The tag up to which the broker may forget; nil: it knows.
    package mutating func takeAcknowledgement() -> UInt64? {
        guard self.settled > self.acknowledged else { return nil }
        self.acknowledged = self.settled
        return self.settled
    }

    private mutating func dropGathered() {
        self.gathered = []
        self.gatheredBytes = 0
    }
}
