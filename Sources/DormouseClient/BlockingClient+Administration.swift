extension BlockingClient {
    // MARK: Without a subscription

    /// Lends a page of the log: matching events after a position, at most as many as one reply holds.
    /// `body` returns false when it wants no more. Returns where the page ends, which is the `after`
    /// of the next one, and the newest position of the exchange.
    public func fetch(
        _ filter: Filter, after position: UInt64, exchange: String? = nil, events: UInt32 = 0,
        bytes: UInt32 = 0, _ body: (LentEvent) -> Bool
    ) throws(DormouseError) -> (upto: UInt64, head: UInt64) {
        let page = try self.handle.fetch(
            filter, after: position, exchange, FetchLimits(events: events, bytes: bytes),
            self.answerMilliseconds, body)
        return (page.upto, page.head)
    }

    /// Lends a page of all events as they are stored now: the server reads them anew, also those that it
    /// has in memory. Returns where the page ends. Throws `internal` for what is not stored as it
    /// should be, and `unimplemented` when the server is too old for this.
    public func fetchStored(
        after position: UInt64, exchange: String? = nil, _ body: (LentEvent) -> Void
    ) throws(DormouseError) -> UInt64 {
        var count = 0
        let page = try self.handle.fetch(
            .everything, after: position, exchange, FetchLimits(events: .max, isStored: true),
            self.answerMilliseconds
        ) { event in
            count += 1
            body(event)
            return true
        }
        guard page.isStored || count == 0 else {
            throw DormouseError(
                .unimplemented, "the server is too old to read its log anew; start a newer one")
        }
        return page.upto
    }

    // MARK: Subscribers by name

    /// Moves a name; its consumer is ended. Returns the position up to which it now counts as
    /// confirmed.
    @discardableResult
    public func seek(
        _ name: String, to start: Start, exchange: String? = nil
    ) throws(DormouseError) -> UInt64 {
        try self.handle.seek(name, to: start, exchange, self.answerMilliseconds)
    }

    /// Until a time in microseconds since 1970, or until `resume`.
    public func pause(
        _ name: String, until time: UInt64 = .max, reason: String = "", exchange: String? = nil
    ) throws(DormouseError) {
        try self.handle.pause(name, until: time, reason, exchange, self.answerMilliseconds)
    }

    /// Ends a pause.
    public func resume(_ name: String, exchange: String? = nil) throws(DormouseError) {
        try self.handle.resume(name, exchange, self.answerMilliseconds)
    }

    /// Ends the stream of the name's consumer, wherever it is; name and position stay.
    @discardableResult
    public func stop(
        _ name: String, exchange: String? = nil
    ) throws(DormouseError) -> (wasAwake: Bool, position: UInt64) {
        try self.handle.stop(name, exchange, self.answerMilliseconds)
    }

    /// Removes the name and its position. false: there was none.
    @discardableResult
    public func forget(_ name: String, exchange: String? = nil) throws(DormouseError) -> Bool {
        try self.handle.forget(name, exchange, self.answerMilliseconds)
    }

    // MARK: Others

    /// How far a producer got: sequence and position of its newest stored event, 0 when there is none.
    public func producer(
        _ name: String, exchange: String? = nil
    ) throws(DormouseError) -> (sequence: UInt64, position: UInt64) {
        try self.handle.producer(name, exchange, self.answerMilliseconds)
    }

    /// Throws `alreadyExists` when there is one of this name.
    public func createExchange(_ name: String) throws(DormouseError) {
        try self.handle.createExchange(name, self.answerMilliseconds)
    }

    /// Says that the log was restored from a backup: it gets a new incarnation, and all connections
    /// end, this one too. `incarnation` is the one that is to end, as `server` tells it. Throws
    /// `failedPrecondition` when it has ended already.
    public func restored(incarnation: [UInt8]) throws(DormouseError) {
        try self.handle.restored(incarnation, self.answerMilliseconds)
    }

    // MARK: Lists

    /// By name; `prefix` is of the names.
    public func subscribers(
        prefix: String = "", exchange: String? = nil
    ) throws(DormouseError) -> [SubscriberInfo] {
        try self.handle.subscribers(prefix: prefix, exchange, self.answerMilliseconds)
    }

    /// All receivers of an exchange.
    public func receivers(exchange: String? = nil) throws(DormouseError) -> [ReceiverInfo] {
        try self.handle.receivers(exchange, self.answerMilliseconds)
    }

    /// All exchanges, by name.
    public func exchanges() throws(DormouseError) -> [ExchangeInfo] {
        try self.handle.exchanges(self.answerMilliseconds)
    }

    /// All connections of the server, this one included, by number.
    public func serverConnections() throws(DormouseError) -> [ConnectionInfo] {
        try self.handle.connections(self.answerMilliseconds)
    }

    /// What the server says of itself.
    public func server() throws(DormouseError) -> ServerInfo {
        try self.handle.server(self.answerMilliseconds)
    }

    // MARK: The outbox

    /// Rows of the outbox that cannot be events, in the order of their ids.
    public func asideRows() throws(DormouseError) -> [AsideRow] {
        try self.handle.asideRows(self.answerMilliseconds)
    }

    /// Puts rows that were set aside back into the outbox; nil: all of them. Returns how many there were.
    @discardableResult
    public func retryOutbox(_ ids: [UInt64]?) throws(DormouseError) -> UInt64 {
        try self.handle.changeOutbox(ids, isDrop: false, self.answerMilliseconds)
    }

    /// Deletes rows that were set aside; nil: all of them. Returns how many there were.
    @discardableResult
    public func dropOutbox(_ ids: [UInt64]?) throws(DormouseError) -> UInt64 {
        try self.handle.changeOutbox(ids, isDrop: true, self.answerMilliseconds)
    }
}
