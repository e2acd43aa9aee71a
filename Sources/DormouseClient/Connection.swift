internal import CDormouse

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Everything of a client that happens on its thread: owns the handle, and wakes whoever waits when
/// the library has what is waited for.
actor Connection {
    private nonisolated let thread: ClientThread
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        self.thread.asUnownedSerialExecutor()
    }

    let handle: Handle
    /// Looked at after every turn, oldest first.
    private var waiters: [(id: UInt64, try: (isolated Connection) -> Bool)] = []
    private var lastWaiter: UInt64 = 0
    var subscriptions: [UInt64: OpaquePointer] = [:]
    var lastSubscription: UInt64 = 0
    /// Publishes that found the window full, oldest first.
    var blocked: [BlockedPublish] = []

    init(_ handle: Handle, _ thread: ClientThread) {
        self.handle = handle
        self.thread = thread
    }

    /// To be called first, once. The thread holds what it needs until `finish`.
    nonisolated func start() throws(DormouseError) {
        let handle = self.handle
        try self.thread.start(
            turn: { [weak self] in
                // On the thread, which is the actor's executor.
                self?.assumeIsolated { $0.turn() } ?? ClientThread.Wait()
            }, atEnd: { handle.free() })
    }

    nonisolated func finish() {
        self.thread.finish()
    }

    // MARK: Turns

    private func turn() -> ClientThread.Wait {
        // A failure is its waiters' business; they look at the handle.
        _ = dormouse_process(self.handle.pointer)
        self.serveWaiters()
        let wants = dormouse_wants(self.handle.pointer)
        var events: Int32 = 0
        if wants & UInt32(DORMOUSE_READABLE) != 0 { events |= Int32(POLLIN) }
        if wants & UInt32(DORMOUSE_WRITABLE) != 0 { events |= Int32(POLLOUT) }
        return ClientThread.Wait(
            descriptor: dormouse_fd(self.handle.pointer), events: Int16(events),
            milliseconds: dormouse_next_timeout(self.handle.pointer))
    }

    private func serveWaiters() {
        self.sendBlocked()
        guard !self.waiters.isEmpty else { return }
        let waiters = self.waiters
        self.waiters = []
        self.waiters = waiters.filter { !$0.try(self) } + self.waiters
    }

    // MARK: Waiting

    /// Waits until `attempt` has a result. Cancelled: `nil`.
    func until<Value: Sendable>(
        _ attempt: @escaping @Sendable (isolated Connection) -> Result<Value, DormouseError>?
    ) async -> Result<Value, DormouseError>? {
        if Task.isCancelled { return nil }
        if let result = attempt(self) { return result }
        self.lastWaiter += 1
        let id = self.lastWaiter
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled { return continuation.resume(returning: nil) }
                self.waiters.append(
                    (
                        id,
                        { connection in
                            let isCancelled = connection.cancelled.remove(id) != nil
                            let result = isCancelled ? nil : attempt(connection)
                            guard isCancelled || result != nil else { return false }
                            continuation.resume(returning: result)
                            return true
                        }
                    ))
            }
        } onCancel: {
            Task { await self.cancel(id) }
        }
    }

    /// Waiters whose tasks were cancelled.
    private var cancelled: Set<UInt64> = []

    private func cancel(_ id: UInt64) {
        guard self.waiters.contains(where: { $0.id == id }) else { return }
        self.cancelled.insert(id)
    }

    // MARK: Opening and closing

    func set(uri: String, options: [String: String]) throws(DormouseError) {
        try self.handle.check(dormouse_set_uri(self.handle.pointer, uri))
        for (name, value) in options.sorted(by: { $0.key < $1.key }) {
            try self.handle.check(dormouse_set(self.handle.pointer, name, value))
        }
    }

    func open(timeoutMilliseconds: Int32) async throws(DormouseError) {
        let deadline = ContinuousClock.now + .milliseconds(timeoutMilliseconds)
        let alarm = Task {
            try? await Task.sleep(until: deadline, clock: .continuous)
            self.nudge()
        }
        defer { alarm.cancel() }
        let result = await self.until { connection -> Result<Void, DormouseError>? in
            let status = dormouse_connect(connection.handle.pointer, 0)
            if status == DORMOUSE_OK { return .success(()) }
            if status != DORMOUSE_TIMEOUT { return .failure(connection.handle.error(status)) }
            guard ContinuousClock.now >= deadline else { return nil }
            let last = connection.handle.error(dormouse_error_status(connection.handle.pointer))
            return .failure(
                DormouseError(
                    .timeout,
                    "no connection within \(timeoutMilliseconds) ms"
                        + (last.status.rawValue == 0 ? "" : "; the last attempt: \(last.message)")))
        }
        guard let result else { throw DormouseError(.cancelled, "the task was cancelled") }
        try result.get()
    }

    /// Has the thread look at its waiters.
    private func nudge() {}

    func close(timeoutMilliseconds: Int32) throws(DormouseError) {
        try self.handle.check(dormouse_close(self.handle.pointer, timeoutMilliseconds))
    }

    // MARK: Calls that wait on the thread

    /// For calls that are answered within a round trip; everything else of this client waits.
    func call<Value>(_ body: (OpaquePointer) throws(DormouseError) -> Value) throws(DormouseError)
        -> Value
    {
        try body(self.handle.pointer)
    }
}
