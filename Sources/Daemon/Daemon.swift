import Channels
import Core
import Diagnostics
import Engine
import MetricsPage
import Net
import Store
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// The wiring: a private or a given Postgres, the engine over it, listeners in front of it,
/// signals.
///
/// Everything here runs on the event loop's thread, which is the main thread.
actor Daemon {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { self.loop.asUnownedSerialExecutor() }

    var options: Options
    let supervision: Supervision
    let notifier: Notifier?
    let logger: Logger
    private let postgresFailed = Signal()
    private let stopRequested = Signal()
    let reloadRequested = Signal()
    var phase = Phase.starting("starting")
    var engine: Engine?
    let health = Lock(Health())
    let bulletin = Bulletin<String>()
    var page: MetricsPage?
    var beat: Alarm?
    var watchdog: Alarm?
    private var postgres: PrivatePostgres?
    var listeners: [Listener] = []
    /// Of the listeners with TLS; nil when there are no files for it.
    var tls: TLSSource?
    var certificateCheck: Alarm?
    private var signals: Signals?
    private(set) var isStopping = false
    private var deadline: Alarm?

    init(_ options: Options, _ supervision: Supervision, on loop: EventLoop, logger: Logger) {
        self.options = options
        self.supervision = supervision
        self.notifier = Notifier(supervision.notifySocket)
        self.loop = loop
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT. Throws what made it impossible to start.
    func run() async throws(Failure) {
        try self.checkAddresses()
        try await self.loadTLS()
        self.fitConnectionsToOpenFiles()
        try self.watchSignals()
        try self.startPage()
        defer { self.stopPage() }
        self.startBeating()
        let postgres: PrivatePostgres?
        let conninfo: String
        if let database = self.options.database {
            postgres = nil
            conninfo = database
        } else {
            let made = PrivatePostgres(data: self.options.data) { [logger] in logger.info($0) }
            self.postgres = made
            self.starts("starting the private Postgres")
            let address = try await made.ensureRunning()
            postgres = made
            conninfo = address.conninfo
            self.say("events are in Postgres; look into it with:  \(address.psql)")
        }
        let settings = try ConnectionSettings(
            conninfo, unsafeNoFsync: self.options.unsafeNoFsync,
            statementMilliseconds: self.options.limits.databaseMilliseconds)
        let store = PostgresStore(settings, limits: self.options.limits) { [logger, loop] text in
            logger.warning(text)
            loop.execute { self.assumeIsolated { $0.starts("waiting: \(text)") } }
        }
        self.starts("connecting to the database, migrating, restoring")
        let outcome = await self.serve(from: store, postgres)
        self.signals?.close()
        await store.close()
        if let postgres { await self.stop(postgres) }
        try outcome.get()
    }

    private enum Event: Sendable {
        case stopRequested
        case engineEnded(Result<Void, Failure>)
        case keeperEnded
    }

    private func serve(
        from store: PostgresStore, _ postgres: PrivatePostgres?
    ) async -> Result<Void, Failure> {
        await withTaskGroup(of: Event.self) { group in
            group.addTask { await self.keepRunning(postgres) }
            group.addTask {
                await self.keepReloading()
                return .keeperEnded
            }
            group.addTask {
                await self.writePages()
                return .keeperEnded
            }
            group.addTask { .engineEnded(await self.runEngine(over: store)) }
            group.addTask {
                _ = await self.stopRequested.wait()
                return .stopRequested
            }
            var outcome = Result<Void, Failure>.success(())
            for await event in group {
                switch event {
                case .keeperEnded:
                    break
                case .stopRequested:
                    // Before the engine runs, nothing was promised to anybody: waiting for the
                    // database may simply end.
                    if self.engine == nil { group.cancelAll() }
                case .engineEnded(let result):
                    outcome = self.isStopping ? .success(()) : result
                    self.postgresFailed.close()
                    self.reloadRequested.close()
                    self.bulletin.close()
                    self.stopRequested.close()
                }
            }
            return outcome
        }
    }

    private func runEngine(over store: PostgresStore) async -> Result<Void, Failure> {
        do throws(Failure) {
            try await store.start()
            guard !self.isStopping else { return .success(()) }
            let failed = self.postgresFailed
            let box = EngineBox()
            let host = LoopHost(self.loop) { box.engine?.assumeIsolated { $0.alarm() } }
            let engine = Engine(
                executor: self.loop, host: host, log: store.log, store: store.state,
                outbox: store.outbox, limits: self.options.limits,
                owner: OwnerID(rawValue: .random(in: 1...Int64.max)),
                version: Version.text, logger: self.logger, storeFailed: { failed.signal() })
            box.engine = engine
            self.engine = engine
            try await engine.run { () async throws(Failure) in try await self.listen(for: engine) }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    /// A private Postgres that dies is started again.
    private func keepRunning(_ postgres: PrivatePostgres?) async -> Event {
        while await self.postgresFailed.wait() {
            guard let postgres, !self.isStopping else { continue }
            do throws(Failure) {
                try await postgres.ensureRunning()
            } catch {
                self.logger.error(
                    "the private Postgres cannot be started; trying again",
                    [.error: error.description])
            }
        }
        return .keeperEnded
    }

    private func stop(_ postgres: PrivatePostgres) async {
        do throws(Failure) {
            try await postgres.stop()
        } catch {
            self.logger.error("the private Postgres did not stop", [.error: error.description])
        }
        postgres.close()
    }

    // MARK: Stopping

    private func watchSignals() throws(Failure) {
        self.signals = try Signals(on: self.loop, watching: [SIGTERM, SIGINT, SIGHUP]) {
            signal in
            self.assumeIsolated { daemon in
                if signal == SIGHUP {
                    daemon.reloadRequested.signal()
                } else {
                    daemon.signalled(signal)
                }
            }
        }
    }

    private func signalled(_ signal: Int32) {
        guard !self.isStopping else {
            self.logger.warning("stopped at once by a second signal", [.signal: "\(signal)"])
            return self.exitAtOnce()
        }
        self.isStopping = true
        self.stops()
        self.stopRequested.signal()
        for listener in self.listeners { listener.stop() }
        self.engine?.assumeIsolated { $0.drain() }
        // The engine ends within its own deadline; a store that hangs must not keep us longer.
        let milliseconds = self.options.limits.drainMillisecondsMax + 10_000
        self.deadline = Alarm(on: self.loop) { self.assumeIsolated { $0.exitAtOnce() } }
        self.deadline?.set(at: self.loop.now().advanced(byMilliseconds: milliseconds))
    }

    /// Leaves nothing running: a Postgres of ours that nobody uses would go on until the next start.
    private func exitAtOnce() {
        self.postgres?.stopAtOnce()
        exit(ExitCode.temporaryFailure)
    }

    /// For the person who started us; everything else goes to the log.
    func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}

/// The host needs the engine and the engine needs the host.
///
/// `@unchecked Sendable`: written once before the engine runs, read on the loop's thread.
private final class EngineBox: @unchecked Sendable {
    var engine: Engine?
}
