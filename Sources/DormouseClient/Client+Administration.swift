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
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.seek(name, to: start, exchange, timeout)
        }
    }

    /// Until a time in microseconds since 1970, or until `resume`.
    public func pause(
        _ name: String, until time: UInt64 = .max, reason: String = "", exchange: String? = nil
    ) async throws(DormouseError) {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.pause(name, until: time, reason, exchange, timeout)
        }
    }

    /// Ends a pause.
    public func resume(_ name: String, exchange: String? = nil) async throws(DormouseError) {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.resume(name, exchange, timeout)
        }
    }

    /// Ends the stream of the name's consumer, wherever it is; name and position stay.
    @discardableResult
    public func stop(_ name: String, exchange: String? = nil) async throws(DormouseError)
        -> (wasAwake: Bool, position: UInt64)
    {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.stop(name, exchange, timeout)
        }
    }

    /// Removes the name and its position. false: there was none.
    @discardableResult
    public func forget(_ name: String, exchange: String? = nil) async throws(DormouseError) -> Bool
    {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.forget(name, exchange, timeout)
        }
    }

    // MARK: Others

    /// How far a producer got: sequence and position of its newest stored event, 0 when there is none.
    public func producer(_ name: String, exchange: String? = nil) async throws(DormouseError)
        -> (sequence: UInt64, position: UInt64)
    {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.producer(name, exchange, timeout)
        }
    }

    /// Throws `alreadyExists` when there is one of this name.
    public func createExchange(_ name: String) async throws(DormouseError) {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.createExchange(name, timeout)
        }
    }

    /// Says that the log was restored from a backup: it gets a new incarnation, and all connections
    /// end, this one too. `incarnation` is the one that is to end, as `server` tells it. Throws
    /// `failedPrecondition` when it has ended already.
    public func restored(incarnation: [UInt8]) async throws(DormouseError) {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.restored(incarnation, timeout)
        }
    }
}

extension Connection {
    /// An administrative answer is one small statement away.
    private static let answerMilliseconds: Int32 = 30_000

    /// Calls `body` with the handle and how long to wait for an answer.
    func ask<Value: Sendable>(
        _ body: (Handle, Int32) throws(DormouseError) -> Value
    ) throws(DormouseError) -> Value {
        try body(self.handle, Self.answerMilliseconds)
    }

    func fetch(
        _ filter: Filter, after position: UInt64, _ exchange: String?, _ events: UInt32,
        _ bytes: UInt32, wait: UInt32
    ) throws(DormouseError) -> Client.Page {
        var found: [Event] = []
        let page = try self.handle.fetch(
            filter, after: position, exchange,
            FetchLimits(events: events, bytes: bytes, wait: wait), Self.answerMilliseconds
        ) {
            found.append($0.copy())
            return true
        }
        return Client.Page(events: found, upto: page.upto, head: page.head)
    }
}
