package import Core

// A partition of a topic, or a stream, on its way into an exchange. Its producer's sequence is the offset plus one, so the server's
// table of producers is where the position is kept, and a repeated publish is a duplicate.
//
// 1. Before anything is read, and whenever somebody else has published as the producer, the server is asked how far it got;
//    reading goes on from there. No position that a broker keeps is looked at.
// 2. What was received is gathered in order. A run of consecutive offsets is one publish: where offsets are missing, which
//    compaction and transactions of Kafka leave, and what RabbitMQ writes into a stream for itself, the next run begins.
// 3. What was received and not published is dropped when the server is asked again: it comes again.
// 4. Kafka refuses an offset that it does not have. RabbitMQ goes to the next one that is there and says nothing. So a stream
//    is read from the newest message that is in the log on (`isProven`): when that comes, or what is right behind it, nothing
//    between is gone.
//
// Invariant: gathered sequences rise, and are above `stored`.

package struct OffsetMachine {
    package enum State: Hashable {
        /// The server must be asked. → proving, reading
        case asking
        /// The newest message that is in the log must come once more. → reading, asking, lost
        case proving
        /// Messages are taken from `stored` on. → asking, lost
        case reading
        /// The broker no longer has what comes next, or it is damaged: nothing is taken, an operator must decide. → asking
        case lost
    }

    package private(set) var state = State.asking
    /// Sequence of the newest event that is in the log; the offset of the next message.
    package private(set) var stored: UInt64 = 0
    package private(set) var gatheredBytes = 0
    private let isProven: Bool
    private var gathered: [(sequence: UInt64, event: Event, bytes: Int)] = []

    package init(isProven: Bool = false) {
        self.isProven = isProven
    }

    package var isEmpty: Bool { self.gathered.isEmpty }
    package var gatheredCount: Int { self.gathered.count }

    /// Where to read on: an offset; 0 for a partition that nothing is known of, which is from its beginning.
    package mutating func told(stored: UInt64) -> UInt64 {
        self.stored = stored
        self.dropGathered()
        let mustProve = self.isProven && stored > 0
        self.state = mustProve ? .proving : .reading
        return mustProve ? stored - 1 : stored
    }

    package enum Received: Hashable, Sendable {
        case gathered
        /// It is in the log, or not wanted now.
        case ignored
        /// The messages before it are gone: the machine is lost.
        case gap
    }

    /// A message came.
    package mutating func received(offset: Int64, _ event: Event, bytes: Int) -> Received {
        guard offset >= 0 else { return .ignored }
        let sequence = UInt64(offset) + 1
        switch self.state {
        case .asking, .lost: return .ignored
        case .proving:
            guard sequence <= self.stored + 1 else {
                self.becameLost()
                return .gap
            }
            if sequence >= self.stored { self.state = .reading }
        case .reading: break
        }
        guard sequence > self.gathered.last?.sequence ?? self.stored else { return .ignored }
        self.gathered.append((sequence, event, bytes))
        self.gatheredBytes += bytes
        return .gathered
    }

    /// The next events to publish, with the first one's sequence; nil when there are none. More than one event only as long
    /// as they have at most `bytesMax` together: a publish must fit a frame.
    package func nextRun(bytesMax: Int = .max) -> (sequence: UInt64, events: [Event])? {
        guard case .reading = self.state, let first = self.gathered.first else { return nil }
        var events: [Event] = []
        var bytes = 0
        for entry in self.gathered {
            bytes += entry.bytes
            guard entry.sequence == first.sequence + UInt64(events.count),
                events.isEmpty || bytes <= bytesMax
            else { break }
            events.append(entry.event)
        }
        return (first.sequence, events)
    }

    /// The first `count` gathered events are in the log.
    package mutating func published(_ count: Int) {
        guard count > 0, count <= self.gathered.count else { return }
        self.stored = self.gathered[count - 1].sequence
        self.gatheredBytes -= self.gathered[..<count].reduce(0) { $0 + $1.bytes }
        self.gathered.removeFirst(count)
    }

    package mutating func mustAsk() {
        self.state = .asking
        self.dropGathered()
    }

    /// The broker cannot give what comes next. Gathered events are good and are published first, by the caller.
    package mutating func becameLost() {
        self.state = .lost
        self.dropGathered()
    }

    private mutating func dropGathered() {
        self.gathered = []
        self.gatheredBytes = 0
    }
}
