@testable import Core

/// A producer that behaves as it is told: it sends its events in order, several requests ahead, and
/// goes back to the first one that failed, or asks how far it got.
struct LogClientModel {
    struct Request {
        let ticket: Ticket
        let sequences: [UInt64]
        /// Sent before the client went back: its answer counts for the order only.
        var isStale = false
        var isAsking: Bool { self.sequences.isEmpty }
    }

    let name: String
    /// What it has to send; sequences may jump.
    let sequences: [UInt64]
    /// How many of them it knows to be stored.
    private(set) var stored = 0
    private var cursor = 0
    private(set) var requests: [Request] = []

    init(name: String, count: Int, _ random: inout SeededGenerator) {
        self.name = name
        var next: UInt64 = 1
        self.sequences = (0..<count).map { _ in
            defer { next += random.chance(10) ? 5 : 1 }
            return next
        }
    }

    var isFinished: Bool { self.stored == self.sequences.count && self.requests.isEmpty }
    var maySend: Bool {
        self.cursor < self.sequences.count && self.requests.count < 8
            && !self.requests.contains { $0.isAsking && !$0.isStale }
    }

    /// The next request: one to three neighbouring sequences.
    mutating func next(_ ticket: Ticket, _ random: inout SeededGenerator) -> [UInt64] {
        var run = [self.sequences[self.cursor]]
        let most = Int.random(in: 1...3, using: &random)
        while run.count < most, self.cursor + run.count < self.sequences.count,
            self.sequences[self.cursor + run.count] == run[0] + UInt64(run.count)
        {
            run.append(run[0] + UInt64(run.count))
        }
        self.cursor += run.count
        self.requests.append(Request(ticket: ticket, sequences: run))
        return run
    }

    /// As after a restart: nothing is known but what the server says.
    mutating func ask(_ ticket: Ticket) {
        for index in self.requests.indices { self.requests[index].isStale = true }
        self.requests.append(Request(ticket: ticket, sequences: []))
    }

    /// Takes an answer; returns what is wrong with it.
    mutating func answered(_ answered: AnsweredTicket, by store: LogStoreModel) -> String? {
        guard let request = self.requests.first, request.ticket == answered.ticket else {
            return "\(self.name): \(answered) came out of order or twice"
        }
        self.requests.removeFirst()
        switch answered.answer {
        case .published(let first, let last, let duplicates):
            if let problem = self.check(request, first, last, Int(duplicates), store) {
                return problem
            }
            if !request.isStale { self.stored += request.sequences.count }
        case .producer(let sequence, _):
            let newest = store.sequences(of: self.name).last ?? 0
            if request.isStale { return nil }
            if newest != sequence {
                return "\(self.name) was told \(sequence), stored is \(newest)"
            }
            self.stored = self.sequences.firstIndex { $0 > sequence } ?? self.sequences.count
            self.cursor = self.stored
        case .failed(let failure):
            if !failure.code.isRetryable { return "\(self.name): \(failure)" }
            if request.isStale { return nil }
            for index in self.requests.indices { self.requests[index].isStale = true }
            self.cursor = self.stored
        }
        return nil
    }

    private func check(
        _ request: Request, _ first: Position, _ last: Position, _ duplicates: Int,
        _ store: LogStoreModel
    ) -> String? {
        let fresh = request.sequences.dropFirst(duplicates).map { "\(self.name)/\($0)" }
        let old = request.sequences.prefix(duplicates)
        let stored = Set(store.sequences(of: self.name))
        guard old.allSatisfy({ stored.contains($0) }) else {
            return "\(self.name): \(old) are no duplicates"
        }
        guard !fresh.isEmpty else {
            return first == .origin ? nil : "first is \(first) without new"
        }
        guard first > .origin, last <= store.head,
            Array(store.payloads[Int(first.rawValue) - 1..<Int(last.rawValue)]) == fresh
        else { return "\(fresh) are not at \(first) to \(last)" }
        return nil
    }
}
