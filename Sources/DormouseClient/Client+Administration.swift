internal import CDormouse

extension Client {
    // MARK: Without a subscription

    /// A page of the log.
    public struct Page: Hashable, Sendable {
        /// In the order of the log.
        public let events: [Event]
        /// Where the page ends: the `after` of the next one.
        public let upto: UInt64
        /// Newest position of the exchange.
        public let head: UInt64
    }

    /// Matching events after a position, without a subscription; at most as many as one reply holds.
    /// `wait`: milliseconds until there is one.
    public func fetch(
        _ filter: Filter = .everything, after position: UInt64, exchange: String? = nil,
        events: UInt32 = 0, bytes: UInt32 = 0, wait: UInt32 = 0
    ) async throws(DormouseError) -> Page {
        var left = wait
        var after = position
        while true {
            // The thread waits with it, so not for long at once.
            let step = min(left, 100)
            let page = try await self.connection.fetch(
                filter, after: after, exchange, events, bytes, wait: step)
            left -= step
            if !page.events.isEmpty || left == 0 || Task.isCancelled { return page }
            after = page.upto
        }
    }

    // MARK: Subscribers by name

    /// Moves a name; its consumer is ended. Returns the position up to which it now counts as
    /// confirmed.
    @discardableResult
    public func seek(_ name: String, to start: Start, exchange: String? = nil)
        async throws(DormouseError) -> UInt64
    {
        let (code, value) = start.code
        return try await self.connection.administer {
            client, time throws(DormouseError) -> (dormouse_status, UInt64) in
            var position: UInt64 = 0
            let status = dormouse_seek(client, exchange, name, code, value, time, &position)
            return (status, position)
        }
    }

    /// Until a time in microseconds since 1970, or until `resume`.
    public func pause(
        _ name: String, until time: UInt64 = .max, reason: String = "", exchange: String? = nil
    ) async throws(DormouseError) {
        try await self.connection.administer { client, timeout in
            (dormouse_pause(client, exchange, name, time, reason, timeout), ())
        }
    }

    /// Ends a pause.
    public func resume(_ name: String, exchange: String? = nil) async throws(DormouseError) {
        try await self.connection.administer { client, timeout in
            (dormouse_resume(client, exchange, name, timeout), ())
        }
    }

    /// Ends the stream of the name's consumer, wherever it is; name and position stay.
    @discardableResult
    public func stop(_ name: String, exchange: String? = nil) async throws(DormouseError)
        -> (wasAwake: Bool, position: UInt64)
    {
        try await self.connection.administer { client, timeout in
            var wasAwake = false
            var position: UInt64 = 0
            let status = dormouse_stop(client, exchange, name, timeout, &wasAwake, &position)
            return (status, (wasAwake, position))
        }
    }

    /// Removes the name and its position. false: there was none.
    @discardableResult
    public func forget(_ name: String, exchange: String? = nil) async throws(DormouseError) -> Bool
    {
        try await self.connection.administer { client, timeout in
            var existed = false
            return (dormouse_forget(client, exchange, name, timeout, &existed), existed)
        }
    }

    // MARK: Others

    /// How far a producer got: sequence and position of its newest stored event, 0 when there is none.
    public func producer(_ name: String, exchange: String? = nil) async throws(DormouseError)
        -> (sequence: UInt64, position: UInt64)
    {
        try await self.connection.administer { client, timeout in
            var (sequence, position): (UInt64, UInt64) = (0, 0)
            let status = dormouse_producer(
                client, exchange, name, timeout, &sequence, &position)
            return (status, (sequence, position))
        }
    }

    /// Throws `alreadyExists` when there is one of this name.
    public func createExchange(_ name: String) async throws(DormouseError) {
        try await self.connection.administer { client, timeout in
            (dormouse_create_exchange(client, name, timeout), ())
        }
    }
}

extension Connection {
    /// An administrative answer is one small statement away.
    private static let answerMilliseconds: Int32 = 30_000

    func administer<Value: Sendable>(
        _ body: (OpaquePointer, Int32) throws(DormouseError) -> (dormouse_status, Value)
    ) throws(DormouseError) -> Value {
        let (status, value) = try body(self.handle.pointer, Self.answerMilliseconds)
        try self.handle.check(status)
        return value
    }

    func fetch(
        _ filter: Filter, after position: UInt64, _ exchange: String?, _ events: UInt32,
        _ bytes: UInt32, wait: UInt32
    ) throws(DormouseError) -> Client.Page {
        let loan = Loan()
        var request = dormouse_fetch_options()
        request.struct_size = MemoryLayout<dormouse_fetch_options>.size
        request.exchange = exchange.flatMap { loan.text($0) }
        request.patterns = loan.array(filter.patterns.map { loan.text($0) })
        request.pattern_count = filter.patterns.count
        request.header_matches = loan.matches(filter.headers)
        request.header_match_count = filter.headers.count
        request.after = position
        request.events_max = events
        request.bytes_max = bytes
        request.wait_ms = wait
        var page: OpaquePointer?
        let status = dormouse_fetch(
            self.handle.pointer, &request, Self.answerMilliseconds, &page)
        loan.end()
        try self.handle.check(status)
        defer { dormouse_page_free(page) }
        var found: [Event] = []
        while let event = dormouse_page_next(page) { found.append(Event(event.pointee)) }
        return Client.Page(
            events: found, upto: dormouse_page_upto(page), head: dormouse_page_head(page))
    }
}
