import Core

// One partition of a topic on its way into an exchange. Its producer's sequence is the Kafka offset plus one, so the server's
// table of producers is where the position is kept, and a repeated publish is a duplicate.
//
// 1. Before anything is read, and whenever somebody else has published as the producer, the server is asked how far the
//    partition got; reading goes on from there. No commit of a consumer group is looked at.
// 2. What was received is gathered in order. A run of consecutive offsets is one publish: where offsets are missing, which
//    compaction and transactions leave, the next run begins.
// 3. What was received and not published is dropped when the partition is asked about again: it comes again.
//
// Invariant: gathered sequences rise, and are above `stored`.

struct PartitionMachine {
    enum State: Hashable {
        /// The server must be asked. → reading
        case asking
        /// Messages are taken from `stored` on. → asking, lost
        case reading
        /// Kafka no longer has what comes next, or it is damaged: nothing is taken, an operator must decide. → asking
        case lost
    }

    private(set) var state = State.asking
    /// Sequence of the newest event that is in the log; the offset of the next message.
    private(set) var stored: UInt64 = 0
    private(set) var gatheredBytes = 0
    private var gathered: [(sequence: UInt64, event: Event)] = []

    var isEmpty: Bool { self.gathered.isEmpty }
    var gatheredCount: Int { self.gathered.count }

    /// Where to read on: an offset; 0 for a partition that nothing is known of, which is from its beginning.
    mutating func told(stored: UInt64) -> UInt64 {
        self.stored = stored
        self.dropGathered()
        self.state = .reading
        return stored
    }

    /// A message came; its event is gathered unless it is in the log, or is not wanted now.
    mutating func received(offset: Int64, _ event: Event, bytes: Int) -> Bool {
        guard case .reading = self.state, offset >= 0 else { return false }
        let sequence = UInt64(offset) + 1
        guard sequence > self.gathered.last?.sequence ?? self.stored else { return false }
        self.gathered.append((sequence, event))
        self.gatheredBytes += bytes
        return true
    }

    /// The next events to publish, with the first one's sequence; nil when there are none.
    func nextRun() -> (sequence: UInt64, events: [Event])? {
        guard case .reading = self.state, let first = self.gathered.first else { return nil }
        var events: [Event] = []
        for entry in self.gathered {
            guard entry.sequence == first.sequence + UInt64(events.count) else { break }
            events.append(entry.event)
        }
        return (first.sequence, events)
    }

    /// The first `count` gathered events are in the log.
    mutating func published(_ count: Int) {
        guard count > 0, count <= self.gathered.count else { return }
        self.stored = self.gathered[count - 1].sequence
        self.gathered.removeFirst(count)
        if self.gathered.isEmpty { self.gatheredBytes = 0 }
    }

    mutating func mustAsk() {
        self.state = .asking
        self.dropGathered()
    }

    /// Kafka cannot give what comes next. Gathered events are good and are published first, by the caller.
    mutating func becameLost() {
        self.state = .lost
        self.dropGathered()
    }

    private mutating func dropGathered() {
        self.gathered = []
        self.gatheredBytes = 0
    }
}
