import CLibPQ
import Core

// 1. Everything here runs on the writer's thread, which waits in one place: `poll` on the wake-up
//    and on the socket.
// 2. At most `inFlightMax` transactions are under way: the statements of a request up to a sync. They take
//    effect in the order of sending, on one connection.
// 3. A request is finished at its sync and not before: only then has its COMMIT returned.
// 4. When the connection is lost, everything that is waiting fails with it. It is made anew for the
//    next request; nothing here retries, since only the engine knows whether it may.

/// The body of the writer's thread.
final class AppendLoop {
    private struct InFlight {
        let request: WriterRequest
        var result: PostgresResult?
        var failure: Failure?
    }

    private let settings: ConnectionSettings
    private let writer: AppendWriter
    private let wakeUp: Int32
    private var connection: PostgresConnection?
    private var waiting: [WriterRequest] = []
    private var inFlight: [InFlight] = []
    private var hasOutput = false
    /// When the oldest transaction under way must have been answered. What happens to others meanwhile
    /// does not move it.
    private var deadline: ContinuousClock.Instant?

    init(settings: ConnectionSettings, writer: AppendWriter, wakeUp: Int32) {
        self.settings = settings
        self.writer = writer
        self.wakeUp = wakeUp
    }

    func run() {
        while true {
            let (requests, isClosed) = self.writer.takeRequests()
            self.waiting += requests
            do throws(Failure) {
                try self.sendWaiting()
                if isClosed, self.inFlight.isEmpty, self.waiting.isEmpty { return }
                try self.waitAndReceive()
            } catch {
                self.lose(error)
            }
        }
    }

    private func sendWaiting() throws(Failure) {
        while self.inFlight.count < self.writer.inFlightMax, let request = self.waiting.first {
            let connection = try self.connected()
            self.waiting.removeFirst()
            self.inFlight.append(InFlight(request: request))
            if self.inFlight.count == 1 { self.restartDeadline() }
            for step in request.steps { try connection.send(step) }
            try connection.sync()
            self.hasOutput = try connection.flush()
            self.writer.note(underWay: self.inFlight.count)
        }
    }

    private func connected() throws(Failure) -> PostgresConnection {
        if let connection = self.connection { return connection }
        let connection = try PostgresConnection(self.settings)
        // The statements have one good plan each; planning them again for every set of values costs
        // more than it finds.
        // And what they look for has an index, also where a table is small at first. Rows that leave the outbox
        // are many: they are hashed and met on one walk through its index.
        try connection.execute(
            "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_nestloop = off; "
                + "SET enable_mergejoin = off; SET jit = off")
        for statement in AppendStatements.all { try connection.prepare(statement) }
        try connection.enterPipeline()
        self.connection = connection
        self.hasOutput = false
        return connection
    }

    private func waitAndReceive() throws(Failure) {
        var descriptors = [pollfd(fd: self.wakeUp, events: Int16(POLLIN), revents: 0)]
        if let connection = self.connection {
            let events = POLLIN | (self.hasOutput ? POLLOUT : 0)
            descriptors.append(pollfd(fd: try connection.socket, events: Int16(events), revents: 0))
        }
        let ready = poll(&descriptors, nfds_t(descriptors.count), self.deadline.pollMilliseconds)
        // Below zero: interrupted by a signal; look again.
        guard ready >= 0 else { return }
        if descriptors[0].revents != 0 { dormouse_wakeup_clear(self.wakeUp) }
        guard let connection = self.connection, descriptors[1].revents != 0 else {
            if let deadline = self.deadline, deadline <= ContinuousClock.now {
                throw .databaseAway("the server did not answer in time")
            }
            return
        }
        if self.hasOutput { self.hasOutput = try connection.flush() }
        // What has arrived is worth reading also when the connection ends right after it.
        var loss: Failure?
        do throws(Failure) { try connection.consume() } catch { loss = error }
        try self.receive(connection)
        if let loss { throw loss }
    }

    private func receive(_ connection: PostgresConnection) throws(Failure) {
        while !self.inFlight.isEmpty {
            switch try connection.nextEvent() {
            case .result(let result):
                if self.inFlight[0].result == nil { self.inFlight[0].result = result }
            case .failed(let failure):
                if self.inFlight[0].failure == nil { self.inFlight[0].failure = failure }
            case .synced: self.finishFirst(connection)
            case .busy: return
            }
        }
    }

    private func finishFirst(_ connection: PostgresConnection) {
        let first = self.inFlight.removeFirst()
        self.restartDeadline()
        let isNotReplicated = connection.takeNotReplicated()
        if let failure = first.failure {
            first.request.fail(failure)
        } else if isNotReplicated {
            first.request.fail(.databaseAway("the commit was not replicated"))
        } else if let result = first.result {
            first.request.finish(result)
        } else {
            first.request.fail(.databaseAway("the statement had no result"))
        }
    }

    /// The next one has its time from when the one before it was answered.
    private func restartDeadline() {
        self.deadline =
            self.inFlight.isEmpty
            ? nil : ContinuousClock.now + .milliseconds(self.settings.statementMilliseconds)
    }

    /// Drops the connection; whatever is under way may or may not take effect.
    private func lose(_ failure: Failure) {
        self.connection = nil
        self.hasOutput = false
        let failed = self.inFlight
        let unsent = self.waiting
        self.inFlight = []
        self.deadline = nil
        self.waiting = []
        for entry in failed { entry.request.fail(entry.failure ?? failure) }
        for request in unsent { request.fail(failure) }
    }
}
