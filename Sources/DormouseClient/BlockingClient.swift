internal import CDormouse

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A connection to a Dormouse server for programs that wait: command lines, tools, threads of one's
/// own. It makes no thread and no task; everything happens inside its calls, on the thread that calls.
///
///     let client = try BlockingClient("dormouse://127.0.0.1:3673/main")
///     let subscription = try client.subscribe(SubscribeOptions(name: "mailer"))
///     while true {
///         let upto = try subscription.next { batch in
///             for index in 0..<batch.count { send(batch[index].payload) }
///             return batch.upto
///         }
///         if let upto { try subscription.acknowledge(upto: upto) } else { try client.wait() }
///     }
///
/// What it hands out is lent: nothing is copied that the program does not want to keep.
public final class BlockingClient {
    let handle: Handle
    /// How long calls wait for the server's answer.
    public var answerMilliseconds: Int32

    /// Connects and waits until the server has said welcome.
    ///
    /// - Parameters:
    ///   - uri: as for `Client.connect`.
    ///   - defaults: options that hold unless the URI says otherwise.
    ///   - options: options that hold whatever the URI says.
    ///   - timeout: milliseconds, for this and for every answer.
    ///   - isPatient: tries again until the time is over while no host can be reached. Otherwise it
    ///     throws after each of them was tried once.
    public init(
        _ uri: String, defaults: [String: String] = [:], options: [String: String] = [:],
        timeout: Int32 = 10_000, isPatient: Bool = false
    ) throws(DormouseError) {
        self.handle = try Handle()
        self.answerMilliseconds = timeout
        try self.set(defaults)
        try self.handle.check(dormouse_set_uri(self.handle.pointer, uri))
        try self.set(options)
        try self.connect(timeout, isPatient: isPatient)
    }

    deinit {
        self.handle.free()
    }

    private func set(_ options: [String: String]) throws(DormouseError) {
        for (name, value) in options.sorted(by: { $0.key < $1.key }) {
            try self.handle.check(dormouse_set(self.handle.pointer, name, value))
        }
    }

    private func connect(_ timeout: Int32, isPatient: Bool) throws(DormouseError) {
        guard !isPatient else {
            return try self.handle.check(dormouse_connect(self.handle.pointer, timeout))
        }
        let deadline = ContinuousClock.now + .milliseconds(timeout)
        while true {
            let status = dormouse_connect(self.handle.pointer, 0)
            if status == DORMOUSE_OK { return }
            let isRoundOver =
                dormouse_get_state(self.handle.pointer) == DORMOUSE_WAITING
                && dormouse_next_timeout(self.handle.pointer) > 0
            let isGivenUp = dormouse_get_state(self.handle.pointer) == DORMOUSE_FAILED
            if isRoundOver || isGivenUp { throw self.handle.error(status) }
            let left = deadline - ContinuousClock.now
            guard left > .zero else { throw self.handle.error(status) }
            _ = self.poll(wake: -1, milliseconds: Int32(left / .milliseconds(1)) + 1)
        }
    }

    // MARK: Waiting

    /// Does what can be done now: reads, writes, connects again. Throws when the connection is lost
    /// and will not come back.
    public func process() throws(DormouseError) {
        try self.handle.check(dormouse_process(self.handle.pointer))
    }

    /// Waits until something has come or is to be done, and does it. Returns earlier when `wake`
    /// can be read, after a signal, or after so many milliseconds (negative: no bound).
    public func wait(wake: Int32 = -1, milliseconds: Int32 = -1) throws(DormouseError) {
        _ = self.poll(wake: wake, milliseconds: milliseconds)
        try self.process()
    }

    /// Whether the connection is open.
    public var isConnected: Bool {
        dormouse_get_state(self.handle.pointer) == DORMOUSE_OPEN
    }

    /// Why the connection is not open, or was not the last time.
    public var lastError: DormouseError {
        self.handle.error(dormouse_error_status(self.handle.pointer))
    }

    /// How often a connection was opened, the first included.
    public var connections: UInt64 { dormouse_connections(self.handle.pointer) }

    /// The largest event that the server takes in one request.
    public var eventBytesMax: Int {
        // What the library keeps for the rest of the request.
        max(0, dormouse_frame_bytes_max(self.handle.pointer) - 1024)
    }

    private func poll(wake: Int32, milliseconds: Int32) -> Int32 {
        let wants = dormouse_wants(self.handle.pointer)
        var events: Int32 = 0
        if wants & UInt32(DORMOUSE_READABLE) != 0 { events |= Int32(POLLIN) }
        if wants & UInt32(DORMOUSE_WRITABLE) != 0 { events |= Int32(POLLOUT) }
        var timeout = dormouse_next_timeout(self.handle.pointer)
        if milliseconds >= 0, timeout < 0 || milliseconds < timeout { timeout = milliseconds }
        var watched = (
            pollfd(
                fd: dormouse_fd(self.handle.pointer), events: Int16(events), revents: 0),
            // `poll` looks over negative descriptors.
            pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
        )
        return withUnsafeMutablePointer(to: &watched) {
            $0.withMemoryRebound(to: pollfd.self, capacity: 2) { posixPoll($0, 2, timeout) }
        }
    }

    // MARK: The end

    /// Sends what is queued, waits for its answers, and closes. Throws `timeout` when not everything
    /// was answered. Other calls fail from then on.
    public func close() throws(DormouseError) {
        try self.handle.check(dormouse_close(self.handle.pointer, self.answerMilliseconds))
    }
}

/// The system's function, where a method has its name.
private func posixPoll(
    _ descriptors: UnsafeMutablePointer<pollfd>, _ count: nfds_t, _ milliseconds: Int32
) -> Int32 {
    poll(descriptors, count, milliseconds)
}

extension BlockingClient {
    /// Throws `badArgument` with what is wrong when `uri` is none. Nothing is connected.
    public static func check(_ uri: String) throws(DormouseError) {
        let handle = try Handle()
        defer { handle.free() }
        try handle.check(dormouse_set_uri(handle.pointer, uri))
    }
}
