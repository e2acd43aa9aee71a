import DormouseClient

/// Applies the events of an exchange to tables of its own database, each exactly once and in order.
///
///     let options = WorkerOptions(
///         name: "billing", server: "dormouse://127.0.0.1:3673", database: "dbname=billing",
///         schema: "billing")
///     try Worker(options, Invoices(), until: stop).run()
///
/// 1. One transaction of the worker's database holds the changes of a batch of events *and* the position
///    behind it. The worker subscribes from that position; what the server remembers does not matter.
/// 2. Each start takes the row of the position over (`epoch`). A transaction that finds another epoch changes
///    nothing: of two instances the newer one works, and the older one ends.
/// 3. What cannot be applied is set aside: see `WorkerMachine`.
///
/// It works on the thread that calls `run`, and makes no other.
public final class Worker {
    let options: WorkerOptions
    let observer: any Observer
    let stop: StopSignal
    private let clock = ContinuousClock()
    private let begun = ContinuousClock.now

    var database: Database?
    /// Where it is, as far as it knows.
    var place: WorkerStore.Place?
    /// Where it is if the transaction whose COMMIT was not answered was committed.
    private var intended: UInt64?
    var machine: WorkerMachine
    var asideCount = 0
    var asideDue: Int64?
    var asideSeen: Int64 = .min
    /// Attempts that trouble undid: the next one has the same number. With why the last one failed, if it did and that could not be
    /// written down.
    var undone: (position: UInt64, attempts: Int, reason: String)?
    /// Attempts at what follows the position that are written down.
    private var counted = 0

    private var client: BlockingClient?
    private var subscription: BlockingSubscription?
    private var events: [Event] = []
    private var upto: UInt64 = 0
    /// For a rebuild: how far it may go, and what waits in the tables in use, by position: whether it holds its key.
    var bound = UInt64.max
    var waiting: [UInt64: Bool] = [:]
    /// Delivered, and behind the bound.
    private var ahead: (events: [Event], upto: UInt64)?
    var outgoing = OutgoingEvents()

    /// Nothing happens before `run`.
    public init(_ options: WorkerOptions, _ observer: any Observer, until stop: StopSignal) {
        var sound = options
        sound.limits = options.limits.sound
        // What Postgres says has several lines.
        sound.log = { options.log($0.split(whereSeparator: \.isNewline).joined(separator: " ")) }
        self.options = sound
        self.observer = observer
        self.stop = stop
        self.machine = WorkerMachine(sound.limits, attempts: 0)
    }

    /// Works until the signal is raised. Trouble that passes is waited for; everything else is thrown.
    public func run() throws {
        while !self.stop.isRaised { try self.step() }
        try self.finish()
    }

    /// Everything that is in the log up to here was handed out by the subscription, and is done with.
    var passed: UInt64 {
        guard self.machine.isIdle, let subscription = self.subscription else { return 0 }
        if let next = self.ahead?.events.first { return next.position - 1 }
        return max(subscription.position, self.place?.position ?? 0)
    }

    /// For a rebuild: there is something to apply up to the bound.
    var isBehind: Bool { self.place == nil || self.passed < self.bound }

    /// An event that was set aside is to be tried again now.
    var isDue: Bool { self.asideSeen == .min || self.asideDue.map { $0 <= self.now } ?? false }

    /// What is set aside has changed.
    func lookAgain() { self.asideSeen = .min }

    /// Makes the schema, the tables of workers, and those of these observers, where they are not there yet. A
    /// worker does it when it starts; programs that only read call it before they do.
    public static func prepare(
        _ database: Database, schema: String, _ observers: [any Observer]
    ) throws {
        try WorkerStore.prepare(database, schema: schema, observers)
    }

    // MARK: Steps

    var now: Int64 { Int64((self.clock.now - self.begun) / .milliseconds(1)) }
    var luck: Double { Double.random(in: 0..<1) }

    /// Does one thing, or waits for one at most `most` milliseconds.
    func step(most: Int64 = .max) throws {
        do {
            try self.open()
            try self.lookAside()
            let action = self.machine.next(
                now: self.now, due: self.asideDue, asideCount: self.asideCount)
            switch action {
            case .take(let until): try self.take(until: until, most: most)
            case .apply(let range, let attempt): try self.apply(range, attempt: attempt)
            case .setAside(let event, let attempts, let verdict):
                try self.setAside(event, attempts: attempts, verdict)
            case .retry: try self.retry()
            case .rest(let until):
                _ = self.stop.wait(milliseconds: min(most, max(0, until - self.now)))
            }
        } catch let error as WorkerError where error.kind == .databaseAway {
            self.troubled(error.message)
        } catch let error as DormouseError {
            try self.serverTroubled(error)
        }
    }

    private func troubled(_ message: String) {
        self.options.log("the database is in trouble, trying again: \(message)")
        if self.database?.isBroken ?? true {
            self.database = nil
            self.asideSeen = .min
        }
        self.machine.failed(.passing, now: self.now, luck: self.luck)
    }

    private func serverTroubled(_ error: DormouseError) throws {
        switch error.status {
        case .takenOver where try self.isReplaced(), .stopped where try self.isReplaced(),
            .aborted where try self.isReplaced():
            throw WorkerStore.replaced
        case .positionLost:
            throw WorkerError(
                .positionLost,
                "the log no longer has what follows position \(self.place?.position ?? 0), or is another log "
                    + "(\(error.message)); rebuild the worker's tables from what is left")
        case _ where !error.isFinal:
            self.options.log("the server is in trouble, trying again: \(error)")
            self.closeSubscription()
            self.machine.rest(now: self.now, luck: self.luck)
        default: throw WorkerError(.server, "the server refused: \(error)")
        }
    }

    /// Which of two instances is the newer one is for the database to say: an older one that connects
    /// again also takes the name's subscription.
    private func isReplaced() throws -> Bool {
        guard let database = self.database else { return false }
        do {
            return try self.store(database).look()?.epoch != self.place?.epoch
        } catch let error where error.kind == .databaseAway {
            self.troubled(error.message)
            return false
        }
    }

    // MARK: Opening

    private func open() throws {
        // While it rests, nothing is opened again.
        if self.machine.isResting(now: self.now) { return }
        if self.database == nil {
            let database = try Database(
                self.options.database, schema: self.options.schema,
                statementMilliseconds: self.options.limits.statementMilliseconds)
            if self.place == nil { try self.begin(database) } else { try self.goOn(database) }
            self.database = database
        }
        if self.client == nil {
            self.client = try BlockingClient(
                self.options.server, defaults: ["client": "worker \(self.options.name)"])
        }
        if self.subscription == nil { try self.subscribe() }
    }

    func store(_ database: Database) -> WorkerStore {
        WorkerStore(
            database: database, name: self.options.name, exchange: self.options.exchange)
    }

    /// The store while the database is there.
    func opened() throws(WorkerError) -> (WorkerStore, WorkerStore.Place) {
        guard let database = self.database, let place = self.place else {
            throw WorkerError(.databaseAway, "the database is not connected")
        }
        return (self.store(database), place)
    }

    private func begin(_ database: Database) throws {
        try WorkerStore.prepare(database, schema: self.options.schema, [self.observer])
        let place = try self.store(database).take(
            from: try self.firstPosition(), replayUpto: self.options.isRebuild ? .max : 0)
        self.machine = WorkerMachine(self.options.limits, attempts: place.attempts)
        self.place = place
        self.counted = place.attempts
        self.outgoing.mayBeLeft = true
        self.options.log("goes on behind position \(place.position), as epoch \(place.epoch)")
    }

    /// Of a new worker. The server resolves times and the newest event, by a subscription without a name.
    private func firstPosition() throws -> UInt64 {
        switch self.options.start {
        case .first: return 0
        case .position(let position): return max(position, 1) - 1
        case .next, .last, .time:
            let client = try BlockingClient(self.options.server)
            let subscription = try client.subscribe(
                SubscribeOptions(from: self.options.start, exchange: self.options.exchange))
            return subscription.position
        }
    }

    /// The connection was lost, maybe in the middle of a COMMIT.
    private func goOn(_ database: Database) throws {
        guard let known = self.place, let found = try self.store(database).look(),
            found.epoch == known.epoch
        else { throw WorkerStore.replaced }
        if found.position != known.position {
            guard found.position == self.intended else { throw WorkerStore.replaced }
            self.place = found
            self.reason = ""
            self.machine.committed()
            self.acknowledge(found.position)
        }
        self.counted = found.attempts
        self.outgoing.mayBeLeft = true
    }

    private func subscribe() throws {
        guard let client = self.client, let place = self.place else { return }
        var options = SubscribeOptions(
            name: self.options.isRebuild ? nil : self.options.name, self.options.filter,
            from: .position(place.position + 1), exchange: self.options.exchange)
        options.reposition = !self.options.isRebuild
        options.replaceConfig = !self.options.isRebuild
        options.lastSeen = place.position
        options.lastIncarnation = place.incarnation
        self.machine.dropped()
        self.ahead = nil
        self.subscription = try client.subscribe(options)
    }

    private func closeSubscription() {
        self.subscription = nil
        self.client = nil
        self.machine.dropped()
    }

    // MARK: Taking and applying

    private func take(until: Int64?, most: Int64) throws {
        guard let subscription = self.subscription, let client = self.client else { return }
        try self.publishOutgoing()
        let taken =
            try self.ahead
            ?? subscription.next { batch in
                ((0..<batch.count).map { batch[$0].copy() }, batch.upto)
            }
        if let taken {
            self.machine.recovered()
            return self.begin(taken.events, upto: taken.upto)
        }
        let (position, before) = (subscription.position, self.place?.position ?? 0)
        if position > before, position - before >= self.options.limits.unmatchedMax {
            try self.passUnmatched(position)
        }
        // What is parked may be retried by a command, which tells nobody.
        let look = self.asideCount > 0 ? self.options.limits.lookMilliseconds : .max
        let pause = min(most, look, until.map { max(0, $0 - self.now) } ?? .max)
        try client.wait(
            wake: self.stop.descriptor, milliseconds: pause == .max ? -1 : Int32(clamping: pause))
    }

    /// What lies behind the bound is kept.
    private func begin(_ events: [Event], upto: UInt64) {
        let fit = Array(events.prefix { $0.position <= self.bound })
        self.ahead = fit.count < events.count ? (Array(events[fit.count...]), upto) : nil
        guard let last = fit.last else { return }
        (self.events, self.upto) = (fit, self.ahead == nil ? upto : last.position)
        self.machine.delivered(fit.count)
    }

    /// Nothing up to `position` matched, so what was begun there and did not end was about nothing that comes.
    private func passUnmatched(_ position: UInt64) throws {
        try self.commit(upto: position) { _, _ in }
        self.machine.committed()
    }

    private func apply(_ range: Range<Int>, attempt: Int) throws {
        let (store, place) = try self.opened()
        try store.begin(place, attempt: attempt)
        self.counted = attempt
        let events = self.events[range]
        let isWhole = range.upperBound == self.events.count
        let upto = isWhole ? self.upto : events.last?.position ?? self.upto
        do {
            try self.commit(upto: upto) { store, transaction in
                let fit = try self.asideWhatMustWait(events, store, place)
                if !fit.isEmpty { try self.observe(fit, in: transaction) }
            }
            self.machine.committed()
        } catch let error where !Self.isOurs(error) {
            self.machine.failed(
                error is CauseMissing ? .cause : .event, now: self.now, luck: self.luck)
            self.reason = "\(error)"
            self.holdsKey = (error as? CauseMissing)?.holdsKey ?? true
        }
    }

    /// A statement of the observer's that takes too long is the fault of what it applies: it would be tried for ever otherwise.
    func observe(_ events: [Event], in transaction: Transaction) throws {
        do {
            try self.observer.apply(events, in: transaction)
        } catch let error as WorkerError where error.sqlState == WorkerError.statementTooLong {
            throw WorkerError(.refused, error.message, sqlState: error.sqlState)
        }
    }

    private func orderingKey(of event: Event) -> String {
        StoredText.orderingKey(self.observer.orderingKey(of: event))
    }

    /// Why the last event failed.
    private var reason = ""
    private var holdsKey = true

    /// An error that no event is to blame for.
    static func isOurs(_ error: any Error) -> Bool {
        (error as? WorkerError).map { $0.kind == .databaseAway || $0.kind == .replaced } ?? false
    }

    /// Events whose ordering key waits are put behind it; returns the others. A rebuild keeps what waits in the tables in
    /// use: it was never applied, so to apply it as a replay would lose its effects.
    private func asideWhatMustWait(
        _ events: ArraySlice<Event>, _ store: WorkerStore, _ place: WorkerStore.Place
    ) throws -> [Event] {
        let events = events.filter { !self.options.dropped.contains($0.position) }
        let mayWait = events.contains { self.waiting[$0.position] != nil }
        guard self.asideCount > 0 || mayWait else { return events }
        var blocked = try store.blocked(Set(events.map(self.orderingKey(of:))))
        guard !blocked.isEmpty || mayWait else { return events }
        self.asideSeen = .min
        var fit: [Event] = []
        for event in events {
            let key = self.orderingKey(of: event)
            if let holdsKey = self.waiting[event.position] {
                try store.keep(event, orderingKey: key, holdsKey: holdsKey)
                if holdsKey { blocked.insert(key) }
                continue
            }
            guard blocked.contains(key) else {
                fit.append(event)
                continue
            }
            try store.setAside(
                event, orderingKey: key, state: "behind", milliseconds: nil,
                reason: "an earlier event of '\(key)' waits", attempts: 0, waits: 0,
                isReplay: event.position <= place.replayUpto)
        }
        return fit
    }

    private func setAside(
        _ index: Int, attempts: Int, _ verdict: WorkerMachine.Verdict
    ) throws {
        let (_, place) = try self.opened()
        let event = self.events[index]
        let key = self.orderingKey(of: event)
        var reason = self.reason
        if reason.isEmpty { reason = "the worker ended \(attempts) times while it applied this" }
        let isLast = index == self.events.count - 1
        try self.commit(upto: isLast ? self.upto : event.position) { store, _ in
            // Behind others of its key, which it may have joined in the meantime, it just waits.
            let blocked = try store.blocked([key])
            let milliseconds: Int64? =
                if case .later(let later) = verdict { later } else { nil }
            try store.setAside(
                event, orderingKey: key,
                state: !blocked.isEmpty ? "behind" : milliseconds == nil ? "parked" : "waiting",
                milliseconds: blocked.isEmpty ? milliseconds : nil, reason: reason,
                attempts: attempts, waits: 1, isReplay: event.position <= place.replayUpto,
                holdsKey: !blocked.isEmpty || milliseconds == nil || self.holdsKey)
        }
        self.asideSeen = .min
        self.reason = ""
        self.holdsKey = true
        self.options.log(
            "set aside the event at position \(event.position) (\(event.key)): \(reason)")
        self.machine.committed()
    }

    /// One transaction: the position, then what `body` does.
    private func commit(
        upto: UInt64, _ body: (WorkerStore, Transaction) throws -> Void
    ) throws {
        let (store, place) = try self.opened()
        let incarnation = self.client?.incarnation ?? place.incarnation
        let transaction = Transaction(store.database, store, replayUpto: place.replayUpto)
        self.intended = upto
        try store.database.transaction { _ in
            try store.move(place, to: upto, incarnation: incarnation)
            try body(store, transaction)
        }
        self.place?.position = upto
        self.place?.incarnation = incarnation
        self.place?.attempts = 0
        self.counted = 0
        if transaction.hasPublished { self.outgoing.mayBeLeft = true }
        self.acknowledge(upto)
    }

    /// So that lists and alarms show how far it is; nothing depends on it.
    private func acknowledge(_ position: UInt64) {
        guard let subscription = self.subscription, !self.options.isRebuild else { return }
        do {
            try subscription.acknowledge(upto: position)
        } catch {
            // The subscription says the same when the next events are taken.
            self.options.log("cannot acknowledge position \(position): \(error)")
        }
    }

    // MARK: Events to publish, and the end

    private func publishOutgoing() throws {
        guard self.outgoing.mayBeLeft, let database = self.database else { return }
        try self.outgoing.publish(self.store(database), self.options)
    }

    /// Writes down how far it is and lets the name fall asleep.
    private func finish() throws {
        do {
            try self.uncount()
            try self.publishOutgoing()
            if self.passed > self.place?.position ?? 0 { try self.passUnmatched(self.passed) }
            try self.subscription?.end()
        } catch {
            // It goes on from an earlier position, and with what is left, at its next start.
            self.options.log("could not finish: \(error)")
        }
    }

    /// What was begun, and undone by trouble, was no attempt: without this each end in the middle of it would count as one.
    private func uncount() throws {
        guard self.database != nil else { return }
        let (store, place) = try self.opened()
        if self.counted > self.machine.attempts {
            try store.begin(place, attempt: self.machine.attempts)
        }
        if let undone = self.undone {
            try store.count(undone.position, attempts: undone.attempts, place)
        }
    }

    /// Writes down that everything up to `position` is done with.
    func pass(_ position: UInt64) throws {
        if position > self.place?.position ?? 0 { try self.passUnmatched(position) }
    }
}
