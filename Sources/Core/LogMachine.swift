// The writing end of one exchange.
//
// 1. Publishes queue up as `pending` in the order of arrival. What has gathered while an append was
//    under way forms the next
//    append: batches form by themselves. Positions are given when a batch is taken, so that what was never sent to the store
//    can be dropped without leaving a hole.
// 2. Up to `appendsInFlightMax` appends are under way, each conditional on the one before. The
//    store tells the outcome of
//    each; only `committed` makes events visible and answers their publishers.
// 3. An unknown outcome stops the writing until ownership is taken anew: whatever was under way can
//    then no longer take
//    effect, and the head that is returned tells which appends did. The others are written again, bytes and positions as
//    they were.
// 4. Answers are given in the order of arrival, failures included: a request that is refused waits
//    for those before it.
// 5. What is known of producers, and why a failed publish holds its producer: see `ProducerTable`.
//
// 6. Rows of the outbox leave it with the append that holds their events (see `Outbox`). Nobody waits for an answer to
//    them, so they are not told when they wait too long: what was not sent is dropped, and is still in the outbox.
//
// Invariants: head ≤ first in-flight `after`; in-flight appends are contiguous; a producer's stored
// ≤ accepted.

package struct LogMachine: ~Copyable {
    package enum State: Hashable, Sendable {
        /// Appends go to the store. → recovering, lost
        case writing
        /// An outcome is unknown: nothing is sent until ownership was taken anew. → writing, lost
        case recovering
        /// Another server owns the exchange: nothing will ever be written again by this one. Final.
        case lost
    }

    enum Entry {
        case store(
            events: EncodedEvents, skipping: Int, producer: Name?, sequence: UInt64, time: Timestamp
        )
        case duplicate(producer: Name, count: UInt32)
        case producer(Name)
        case refused(Failure)
        case move(events: EncodedEvents, rows: [OutboxID], time: Timestamp)
    }

    private struct Pending {
        /// nil: nobody waits for an answer.
        let ticket: Ticket?
        let entry: Entry
        let arrived: Instant
    }

    /// An answer that depends on what the batch's commit brings.
    enum Promise {
        case answer(PublishAnswer)
        case duplicate(producer: Name, count: UInt32)
        case producer(Name)
    }

    private struct Batch {
        var append: Append
        var promises: [(ticket: Ticket, promise: Promise)]
        let bytes: Int
        /// When the oldest of those came whom `promises` will answer.
        var arrived: Instant
        /// The store's answer has come, and it was not "committed".
        var isUnresolved = false
        /// Must be sent (again): after recovery.
        var isUnsent = false
    }

    package private(set) var state: State = .writing
    package private(set) var head: Position
    package private(set) var epoch: OwnerEpoch
    package private(set) var pendingBytes = 0
    /// Publishes were told to try later, and further ones are told so at once, until something is
    /// committed again.
    package private(set) var refusesPublishes = false
    package let exchange: ExchangeID
    /// Rows of the outbox that are pending or under way.
    package private(set) var movingRows = 0

    private let configuration: Configuration
    private var pending: [Pending] = []
    private var batches: [Batch] = []
    private var producers: ProducerTable
    /// Of the newest event that an append holds.
    private var planned: Position
    /// Where the newest pending event will be.
    private var reserved: Position
    private var lastTime: Timestamp

    /// `lastAt` is the time of the newest stored event: the next one is not older.
    package init(
        exchange: ExchangeID, head: Position, epoch: OwnerEpoch, lastAt: Timestamp = .zero,
        configuration: Configuration
    ) {
        self.exchange = exchange
        self.head = head
        self.epoch = epoch
        self.planned = head
        self.reserved = head
        self.lastTime = lastAt
        self.configuration = configuration
        self.producers = ProducerTable(producersMax: configuration.producersMax)
    }

    // MARK: Restore

    package mutating func restored(_ mark: ProducerMark) {
        self.producers.restore(mark)
    }

    // MARK: Whose producers

    /// Why this principal may not use the producer's name; nil: it may.
    package func refusal(ofProducer name: Name, for principal: Name?) -> Failure? {
        self.producers.refusal(name, for: principal)
    }

    /// A principal has published as this producer.
    package mutating func claim(_ producer: Name, for principal: Name) {
        self.producers.claim(producer, for: principal)
    }

    // MARK: Publishing

    package enum PublishAction: Hashable, Sendable {
        /// Will be answered later; the writer has something to take.
        case wait
        case answer(PublishAnswer)
    }

    /// Events to be stored, `events` not empty. `sequence` is of the first event and counts only
    /// with a producer.
    package mutating func publish(
        _ events: consuming EncodedEvents, producer: consuming Name?, sequence: UInt64,
        ticket: Ticket, now: Instant, time: Timestamp
    ) -> PublishAction {
        if let failure = self.refusal(of: events) {
            if let producer {
                self.producers.hold(producer, at: sequence, from: ticket.connection)
            }
            return self.enqueue(.refused(failure), ticket: ticket, now: now)
        }
        var skipping = 0
        if let producer {
            switch self.producers.admit(
                producer, sequence: sequence, count: events.count, from: ticket.connection)
            {
            case .failure(let failure):
                return self.enqueue(.refused(failure), ticket: ticket, now: now)
            case .success(let duplicates) where duplicates == events.count:
                let entry = Entry.duplicate(producer: producer, count: UInt32(clamping: duplicates))
                return self.enqueue(entry, ticket: ticket, now: now)
            case .success(let duplicates):
                skipping = duplicates
            }
        }
        let entry = Entry.store(
            events: events, skipping: skipping, producer: producer, sequence: sequence,
            time: self.stamp(time))
        return self.enqueue(entry, ticket: ticket, now: now)
    }

    /// A request that was wrong by itself; its answer waits for those before it.
    /// A producer is held there: what it sent behind must not be stored before it has said what
    /// becomes of this one.
    package mutating func refuse(
        _ failure: Failure, producer: Name? = nil, sequence: UInt64 = 0, ticket: Ticket,
        now: Instant
    ) -> PublishAction {
        if let producer { self.producers.hold(producer, at: sequence, from: ticket.connection) }
        return self.enqueue(.refused(failure), ticket: ticket, now: now)
    }

    /// A producer asks how far it got. Answered when all before it is decided; it may then go on
    /// from there.
    package mutating func askProducer(_ name: Name, ticket: Ticket, now: Instant) -> PublishAction {
        let failure: Failure? =
            if case .lost = self.state {
                .exchangeLost
            } else if self.refusesPublishes {
                Self.awayFailure
            } else {
                self.producers.ask(name, from: ticket.connection)
            }
        if let failure { return self.enqueue(.refused(failure), ticket: ticket, now: now) }
        return self.enqueue(.producer(name), ticket: ticket, now: now)
    }

    private func refusal(of events: EncodedEvents) -> Failure? {
        if case .lost = self.state { return .exchangeLost }
        if self.refusesPublishes { return Self.awayFailure }
        if self.pendingBytes + events.bytes.count > self.configuration.pendingBytesMax {
            return Failure(
                .resourceExhausted,
                "\(self.pendingBytes) bytes wait for their commit, the limit is "
                    + "\(self.configuration.pendingBytesMax); send again later, or raise --pending-bytes",
                retryAfterMilliseconds: 100)
        }
        if self.reserved.advanced(by: events.count) == nil { return Self.fullFailure }
        return nil
    }

    /// Times never run backwards within an exchange, even when the clock does.
    private mutating func stamp(_ time: Timestamp) -> Timestamp {
        self.lastTime = max(self.lastTime, time)
        return self.lastTime
    }

    private mutating func enqueue(_ entry: consuming Entry, ticket: Ticket, now: Instant)
        -> PublishAction
    {
        if case .refused(let failure) = entry, self.pending.isEmpty,
            self.batches.allSatisfy({ $0.promises.isEmpty })
        {
            return .answer(.failed(failure))
        }
        if case .store(let events, let skipping, _, _, _) = entry {
            self.pendingBytes += events.bytes.count
            // `refusal` has looked that there are so many positions.
            self.reserved = self.reserved.advanced(by: events.count - skipping) ?? .last
        }
        self.pending.append(Pending(ticket: ticket, entry: entry, arrived: now))
        return .wait
    }

    // MARK: Moving

    /// Whether rows of the outbox may be read now, to be moved. They leave half of the room to
    /// publishers, who would be refused.
    package var takesRows: Bool {
        self.state == .writing && !self.refusesPublishes && self.movingRows == 0
            && self.pendingBytes <= self.configuration.pendingBytesMax / 2
    }

    /// Events of these rows of the outbox, not none, one each. false: not now; they stay there.
    package mutating func move(
        _ events: consuming EncodedEvents, rows: [OutboxID], now: Instant, time: Timestamp
    ) -> Bool {
        guard self.takesRows, let reserved = self.reserved.advanced(by: events.count) else {
            return false
        }
        self.pendingBytes += events.bytes.count
        self.reserved = reserved
        self.movingRows = rows.count
        let entry = Entry.move(events: events, rows: rows, time: self.stamp(time))
        self.pending.append(Pending(ticket: nil, entry: entry, arrived: now))
        return true
    }

    // MARK: Writing

    package struct TakeAction {
        /// To be sent to the store now; its outcome comes back through `completed`.
        package var append: Append?
        package var answers: [AnsweredTicket] = []
    }

    /// The writer is free: the next append, if there is anything to append and an append may start.
    package mutating func take() -> TakeAction {
        guard case .writing = self.state else { return TakeAction() }
        let underWay = self.batches.count { !$0.isUnsent }
        guard underWay < self.configuration.appendsInFlightMax else { return TakeAction() }
        if underWay < self.batches.count {
            self.batches[underWay].isUnsent = false
            return TakeAction(append: self.batches[underWay].append)
        }
        // What is little waits for the answer of what is under way, which comes soon.
        if underWay > 0, self.waitingBytes < self.configuration.gatherBytes { return TakeAction() }
        return self.takePending()
    }

    /// Of publishes that no append holds yet.
    private var waitingBytes: Int { self.batches.reduce(self.pendingBytes) { $0 - $1.bytes } }

    private mutating func takePending() -> TakeAction {
        guard let oldest = self.pending.first else { return TakeAction() }
        var builder = ChunkBuilder(
            after: self.planned, chunkBytesMax: self.configuration.chunkBytesMax)
        var sealed = SealedBatch(planned: self.planned)
        var taken = 0
        for item in self.pending {
            if sealed.bytes >= self.configuration.appendBytesMax { break }
            sealed.add(item.entry, ticket: item.ticket, to: &builder)
            taken += 1
        }
        self.pending.removeFirst(taken)
        let chunks = builder.finish()
        guard !chunks.isEmpty else { return self.ride(sealed.promises, arrived: oldest.arrived) }
        let append = Append(
            exchange: self.exchange, epoch: self.epoch, after: self.planned, chunks: chunks,
            producers: self.producers.named(sealed.marks), rows: sealed.rows)
        self.planned = append.last
        self.batches.append(
            Batch(
                append: append, promises: sealed.promises, bytes: sealed.bytes,
                arrived: oldest.arrived))
        return TakeAction(append: append)
    }

    /// Answers without events of their own wait for the newest append, or are given at once when
    /// there is none.
    private mutating func ride(
        _ promises: [(ticket: Ticket, promise: Promise)], arrived: Instant
    ) -> TakeAction {
        guard let newest = self.batches.indices.last else {
            return TakeAction(answers: self.kept(promises))
        }
        if self.batches[newest].promises.isEmpty { self.batches[newest].arrived = arrived }
        self.batches[newest].promises += promises
        return TakeAction()
    }

    // MARK: Outcomes

    package struct CompletionAction {
        package enum Next: Hashable, Sendable {
            case none
            /// There may be something to take.
            case take
            /// Take ownership anew, now and until it succeeds; then call `recovered` or
            /// `lostOwnership`.
            case recover
        }

        /// Durable now, in order: to the tail and to the subscribers.
        package var chunks: [Chunk] = []
        package var answers: [AnsweredTicket] = []
        package var next: Next = .none
    }

    /// The store told what became of the append that ends at `last`.
    package mutating func completed(last: Position, outcome: AppendOutcome) -> CompletionAction {
        guard let index = self.batches.firstIndex(where: { $0.append.last == last }) else {
            return CompletionAction()
        }
        var action = CompletionAction()
        switch outcome {
        case .committed:
            self.commit(through: index, into: &action)
            action.next = .take
        case .conflict, .unknown:
            self.batches[index].isUnresolved = true
            if case .writing = self.state { self.state = .recovering }
        }
        if case .recovering = self.state {
            action.next = self.isQuiet ? .recover : .none
        }
        return action
    }

    /// No append is under way whose outcome has not been told.
    private var isQuiet: Bool {
        self.batches.allSatisfy { $0.isUnresolved || $0.isUnsent }
    }

    /// Ownership was taken anew: `ownership.head` is final.
    package mutating func recovered(_ ownership: Ownership) -> CompletionAction {
        guard case .recovering = self.state, self.isQuiet else { return CompletionAction() }
        var action = CompletionAction()
        if let index = self.batches.lastIndex(where: { $0.append.last <= ownership.head }) {
            self.commit(through: index, into: &action)
        }
        guard self.head == ownership.head else {
            // Somebody wrote under our name: nothing that we know of the log can be trusted.
            action.answers += self.lose()
            return action
        }
        self.epoch = ownership.epoch
        self.state = .writing
        for index in self.batches.indices {
            let old = self.batches[index].append
            self.batches[index].append = Append(
                exchange: old.exchange, epoch: ownership.epoch, after: old.after,
                chunks: old.chunks,
                producers: old.producers, rows: old.rows)
            self.batches[index].isUnresolved = false
            self.batches[index].isUnsent = true
        }
        if self.batches.isEmpty { self.refusesPublishes = false }
        action.next = .take
        return action
    }

    /// Another owner has the exchange.
    package mutating func lostOwnership() -> [AnsweredTicket] {
        self.lose()
    }

    private mutating func lose() -> [AnsweredTicket] {
        guard self.state != .lost else { return [] }
        self.state = .lost
        return self.failAll(.exchangeLost, dropping: true)
    }

    private mutating func commit(through index: Int, into action: inout CompletionAction) {
        self.refusesPublishes = false
        for batch in self.batches[...index] {
            self.head = batch.append.last
            self.pendingBytes -= batch.bytes
            self.movingRows -= batch.append.rows.count
            for mark in batch.append.producers { self.producers.committed(mark) }
            action.chunks += batch.append.chunks
            action.answers += self.kept(batch.promises)
        }
        self.batches.removeSubrange(...index)
    }

    private func kept(_ promises: [(ticket: Ticket, promise: Promise)]) -> [AnsweredTicket] {
        promises.map { ticket, promise in
            let answer: PublishAnswer
            switch promise {
            case .answer(let given):
                answer = given
            case .duplicate(let name, let count):
                let stored = self.producers.stored(of: name)
                answer = .published(first: .origin, last: stored.position, duplicates: count)
            case .producer(let name):
                let stored = self.producers.stored(of: name)
                answer = .producer(sequence: stored.sequence, position: stored.position)
            }
            return AnsweredTicket(ticket: ticket, answer: answer)
        }
    }

    // MARK: Waiting too long

    /// When the oldest waiting publish will have waited long enough; nil when nothing waits.
    package var deadline: Instant? {
        let oldest =
            self.batches.first { !$0.promises.isEmpty }?.arrived
            ?? self.pending.first { $0.ticket != nil }?.arrived
        return oldest?.advanced(byMilliseconds: self.configuration.publishWaitMilliseconds)
    }

    /// Publishes that waited too long, and all behind them, are told to try again. What is under
    /// way stays so and may still be committed; what was not sent is dropped.
    package mutating func expire(now: Instant) -> [AnsweredTicket] {
        guard let deadline = self.deadline, deadline <= now else { return [] }
        // With nothing under way no commit would ever end the refusing, and none is needed.
        self.refusesPublishes = self.state == .recovering || !self.batches.isEmpty
        return self.failAll(Self.awayFailure, dropping: false)
    }

    private mutating func failAll(_ failure: Failure, dropping all: Bool) -> [AnsweredTicket] {
        var answers: [AnsweredTicket] = []
        for index in self.batches.indices {
            for (ticket, promise) in self.batches[index].promises {
                answers.append(Self.failed(ticket, promise, failure))
            }
            // Their producers need not be held: what is under way is committed in the end.
            self.batches[index].promises = []
        }
        for item in self.pending {
            if case .store(_, _, let name?, let sequence, _) = item.entry {
                self.producers.hold(name, at: sequence)
            }
            if let ticket = item.ticket {
                answers.append(Self.failed(ticket, item.entry, failure))
            }
        }
        self.dropPending()
        if all {
            self.batches = []
            self.pendingBytes = 0
            self.movingRows = 0
        }
        return answers
    }

    private mutating func dropPending() {
        var underWay: [Name: UInt64] = [:]
        for mark in self.batches.lazy.flatMap(\.append.producers) {
            underWay[mark.name] = max(underWay[mark.name] ?? 0, mark.sequence)
        }
        for item in self.pending {
            if case .move(let events, let rows, _) = item.entry {
                self.pendingBytes -= events.bytes.count
                self.movingRows -= rows.count
            }
            guard case .store(let events, _, let producer, _, _) = item.entry else { continue }
            self.pendingBytes -= events.bytes.count
            guard let name = producer else { continue }
            self.producers.rollBack(name, underWay: underWay[name] ?? 0)
        }
        self.pending = []
        self.reserved = self.planned
    }
}
