// The engine: everything between the sockets and the store.
//
// One actor on one executor (the event loop). Sessions, exchanges, receivers and subscribers are
// plain objects inside it: a call from one to the other is a function call, so nothing can happen
// between "find the receiver" and "attach the consumer". Only the store is awaited; what was read
// before an await is looked at again after it.
//
//   socket ─▶ Session ─▶ Exchange.log ─▶ (store: append) ─▶ tail ─▶ Receiver ─▶ Subscriber ─▶ socket
//                                                          log ─▶ pages ─┘
//
// Every task is a child of `run`. Work that outlives a turn is handed to it through `operations`;
// its number is bounded by the requests of each session.

package import Core
internal import Channels
package import Diagnostics
internal import Wire

package actor Engine {
    typealias Operation = @Sendable (isolated Engine) async -> Void

    private nonisolated let executor: any SerialExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        self.executor.asUnownedSerialExecutor()
    }

    package nonisolated let limits: Limits
    let host: any Host
    let log: any EventLog
    let store: any StateStore
    let outbox: any Outbox
    let logger: Logger
    let owner: OwnerID
    /// Told whenever the store did not answer: a private Postgres may have to be started again.
    let storeFailedHook: @Sendable () -> Void
    nonisolated let version: String

    let arena = Arena()
    var compressedBlocks = CompressedBlocks()
    var sessions: [ConnectionID: Session] = [:]
    /// Those of them whose hello was not accepted yet.
    var newcomers: Newcomers
    var strangerLines = LogAllowance()
    let manager: ReceiverManager
    /// Large answers of one connection are made one after the other.
    let largeAnswers = Turns<ConnectionID>()
    var exchanges: [ExchangeID: Exchange] = [:]
    /// Exchanges are added, never taken away.
    var exchangesByName: [Name: Exchange] = [:]
    /// The one that was asked for last, by the bytes of its name: nearly every request names it again.
    var newestExchange: (bytes: [UInt8], exchange: Exchange)?
    /// Whose rows are being written: they count, or many at once would pass the limit.
    var exchangesInMaking = 0
    /// Who may come in.
    package internal(set) var principals = PrincipalTable()
    let principalTurns = Turns<Name>()
    /// Of those who have any.
    var connectionsOfPrincipal: [Name: Int] = [:]
    var failedAuthentications = FailedAuthentications()
    var incarnation = Incarnation(bytes: [])
    var startedAt = Timestamp.zero

    /// Subscribers that wait to be sent what they may be sent, in order.
    var due = Ring<Subscriber>()
    /// Done since others last had their turn, in the unit of `EventFilter.work`.
    var work = 0
    /// Others have their turn.
    var isResting = false
    let restSignal = Signal()

    let operations = Mailbox<Operation>()
    var deadlines = DeadlineQueue<Deadline>()
    var sleepers: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var lastSleeper: UInt64 = 0
    var waitingFetches: [UInt64: WaitingFetch] = [:]
    var lastFetch: UInt64 = 0

    var tailBudget: TailBudget
    var pages: ReplayPages
    var wantedPages: [PageKey] = []
    var pageWaiters: [PageKey: [Subscriber]] = [:]
    let pageRequests: BoundedChannel<PageKey>
    /// For whom the pages are read that count.
    var pagePrincipals: [PageKey: Name] = [:]
    var replayShares: ReplayShares<ReplayWaiter>

    var unsaved = UnsavedPositions()
    let unsavedSignal = Signal()

    /// Connections that are sent nothing because all together hold too much.
    var pressed: Set<ConnectionID> = []

    /// What is wrong with the store, as last seen; nil when it answers.
    var storeFailure: Failure?
    var published: UInt64 = 0
    var delivered: UInt64 = 0
    var counters = Counters()
    /// From handing an append to the store to its outcome.
    var commitTimes = Histogram()
    var waitingTimes = WaitingTimes()
    var isDraining = false
    var isFinished = false
    /// Why `run` ends although nobody asked for it.
    var ending: Failure?
    #if DEBUG
        /// A bug that the simulation must find; never set outside of its tests.
        package var plantedBug: PlantedBug?
    #endif

    package init(
        executor: any SerialExecutor, host: any Host, log: any EventLog, store: any StateStore,
        outbox: any Outbox, limits: Limits, owner: OwnerID, version: String, logger: Logger,
        storeFailed: @escaping @Sendable () -> Void = {}
    ) {
        self.executor = executor
        self.host = host
        self.log = log
        self.store = store
        self.outbox = outbox
        self.limits = limits
        self.owner = owner
        self.version = version
        self.logger = logger
        self.storeFailedHook = storeFailed
        self.newcomers = Newcomers(limits: limits)
        self.manager = ReceiverManager(store: store, limits: limits)
        self.tailBudget = TailBudget(bytesMax: limits.tailBytes)
        self.pages = ReplayPages(budget: limits.replayBytes)
        self.replayShares = ReplayShares(atOnceMax: limits.replaysPerPrincipalMax)
        self.pageRequests = BoundedChannel(capacity: 2 * limits.replayReaders)
    }

    // MARK: Life

    /// Restores everything, calls `ready`, and serves until it is drained. Throws what made restoring
    /// impossible, and `aborted` when the server must be started anew.
    package func run(ready: @Sendable () async throws(Failure) -> Void) async throws(Failure) {
        try await self.restore()
        // Told to stop meanwhile: the exchanges came too late to be closed.
        if self.isFinished { return }
        try await ready()
        await withDiscardingTaskGroup { group in
            for exchange in self.exchanges.keys.sorted() {
                group.addTask { await self.writeLoop(exchange) }
            }
            for _ in 0..<self.limits.replayReaders {
                group.addTask { await self.readLoop() }
            }
            group.addTask { await self.saveLoop() }
            group.addTask { await self.mergeLoop() }
            group.addTask { await self.outboxLoop() }
            group.addTask { await self.workLoop() }
            group.addTask { await self.ownershipLoop() }
            while true {
                let operations = await self.operations.takeAll()
                if operations.isEmpty { break }
                for operation in operations { group.addTask { await operation(self) } }
            }
        }
        await self.flushPositions()
        if let ending = self.ending { throw ending }
    }

    /// Work that goes on beyond this turn.
    func spawn(_ operation: @escaping Operation) {
        self.operations.put(operation)
    }

    /// Stop accepting requests, answer what is held, put subscribers to sleep; `run` returns when
    /// that is done, or at the deadline.
    package func drain() {
        guard !self.isDraining else { return }
        self.isDraining = true
        self.logger.info("stopping: no new requests", [.count: "\(self.sessions.count)"])
        let failure = Failure(
            .draining, "the server is stopping; connect again", retryAfterMilliseconds: 1_000)
        for id in self.sessions.keys.sorted() {
            guard let session = self.sessions[id], session.machine.drain() else { continue }
            session.send(failure, as: .goAway, on: .connection)
            for subscriber in session.awake.members {
                self.end(subscriber, failure, reason: .draining)
            }
            self.closeIfFinished(session)
        }
        for exchange in self.exchanges.values.sorted(by: { $0.id < $1.id }) {
            self.resumeFetches(of: exchange)
        }
        self.add(
            .drain, at: self.host.now.advanced(byMilliseconds: self.limits.drainMillisecondsMax))
        self.finishIfQuiet()
    }

    func finishIfQuiet() {
        if self.isDraining, self.sessions.isEmpty { self.finish() }
    }

    /// Ends every loop. Positions that are still unsaved are saved at the end of `run`.
    func finish() {
        guard !self.isFinished else { return }
        self.isFinished = true
        for id in self.sessions.keys.sorted() {
            guard let session = self.sessions[id] else { continue }
            self.roomCame(session)
            session.peer.close()
        }
        for exchange in self.exchanges.values.sorted(by: { $0.id < $1.id }) {
            exchange.writerSignal.close()
            exchange.movedSignal.close()
            self.resumeFetches(of: exchange)
        }
        self.pageRequests.close()
        self.endReplayShares()
        self.unsavedSignal.close()
        self.restSignal.close()
        self.operations.close()
        for id in self.sleepers.keys.sorted() { self.sleepers.removeValue(forKey: id)?.resume() }
    }
}

#if DEBUG
    /// Bugs to plant: the tests show that the simulation finds each of them.
    package enum PlantedBug: Hashable, Sendable {
        /// Events are delivered and their publishers answered when the append is handed to the store.
        case deliveryBeforeCommit
        /// The first event from the tail after a replay is skipped.
        case seamOffByOne
        /// The head is saved instead of the confirmed position.
        case positionBeyondSent
        /// ON_SEND confirms what waits for the socket.
        case confirmedBeforeTaken
    }
#endif
