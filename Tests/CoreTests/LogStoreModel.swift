@testable import Core

/// The simplest store there can be: an array. Its connection may break, and what was sent on it may
/// still be applied afterwards, until ownership is taken anew.
struct LogStoreModel {
    struct Sent {
        let append: Append
        let connection: Int
        /// What came of it; nil: not looked at yet.
        var outcome: AppendOutcome?
        var isTold = false
    }

    private(set) var payloads: [String] = []
    private(set) var epoch = OwnerEpoch(rawValue: 1)
    private var sent: [Sent] = []
    private var connection = 0

    var head: Position { Position(UInt64(self.payloads.count)) }
    var hasUntold: Bool { self.sent.contains { !$0.isTold } }

    mutating func send(_ append: Append) {
        self.sent.append(Sent(append: append, connection: self.connection))
    }

    /// Applies what was sent first on one of the connections.
    mutating func applyOne(_ random: inout SeededGenerator) {
        var firsts: [Int: Int] = [:]
        for index in self.sent.indices where self.sent[index].outcome == nil {
            let connection = self.sent[index].connection
            if firsts[connection] == nil { firsts[connection] = index }
        }
        guard let index = firsts.values.sorted().randomElement(using: &random) else { return }
        let append = self.sent[index].append
        guard append.epoch == self.epoch, append.after == self.head else {
            self.sent[index].outcome = .conflict
            return
        }
        self.payloads += append.chunks.flatMap(\.payloads)
        self.sent[index].outcome = .committed
    }

    mutating func breakConnection() { self.connection += 1 }

    /// Tells the outcome of one append, in any order; what was on a broken connection is unknown.
    mutating func tellOne(_ random: inout SeededGenerator) -> (Position, AppendOutcome)? {
        let ready = self.sent.indices.filter {
            !self.sent[$0].isTold
                && (self.sent[$0].outcome != nil || self.sent[$0].connection != self.connection)
        }
        guard let index = ready.randomElement(using: &random) else { return nil }
        self.sent[index].isTold = true
        let item = self.sent[index]
        let isKnown = item.connection == self.connection
        return (item.append.last, isKnown ? item.outcome ?? away : away)
    }

    mutating func retake() -> Ownership {
        self.epoch = OwnerEpoch(rawValue: self.epoch.rawValue + 1)
        return Ownership(epoch: self.epoch, head: self.head)
    }

    /// The sequences of a producer, in the order of the log.
    func sequences(of producer: String) -> [UInt64] {
        self.payloads.compactMap { payload in
            let parts = payload.split(separator: "/")
            return parts.count == 2 && parts[0] == producer ? UInt64(parts[1]) : nil
        }
    }
}
