internal import CDormouse

/// A connection to a Dormouse server, which comes back by itself when it is lost.
///
///     let client = try await Client.connect("dormouse://127.0.0.1:3673/main?producer=billing")
///     try await client.publish(Event(key: "order.created", "{…}"))
///     for try await delivery in client.subscribe(SubscribeOptions(name: "mailer", Filter("order.*"))) {
///         for event in delivery.events { send(event) }
///         try await delivery.acknowledge()
///     }
///
/// It has a thread of its own, which ends with the last reference. Publishes and subscriptions of one
/// client share one connection; administrative calls wait on its thread for their answer, so a program
/// that makes many of them beside a fast stream uses a second client.
public final class Client: Sendable {
    let connection: Connection

    private init(_ connection: Connection) {
        self.connection = connection
    }

    deinit {
        self.connection.finish()
    }

    /// Connects and waits until the server has said welcome.
    ///
    /// - Parameters:
    ///   - uri: `dormouse://[TOKEN@]HOST[:PORT][,…]/EXCHANGE?OPTION=VALUE`, `dormouses://` for TLS, or
    ///     `unix:/PATH`; see dormouse_set_uri(3).
    ///   - options: by the names that they have in the URI.
    ///   - timeout: milliseconds for all attempts together.
    public static func connect(
        _ uri: String, options: [String: String] = [:], timeout: Int32 = 10_000
    ) async throws(DormouseError) -> Client {
        let connection = Connection(try Handle(), try ClientThread())
        try connection.start()
        let client = Client(connection)
        try await connection.set(uri: uri, options: options)
        try await connection.open(timeoutMilliseconds: timeout)
        return client
    }

    // MARK: Publishing

    /// Publishes events, all together and in order or none; returns after their COMMIT. With the
    /// option `producer`, what has to be sent again after a break is never stored twice. Cannot be
    /// cancelled: what is on its way stays.
    @discardableResult
    public func publish(_ events: [Event]) async throws(DormouseError) -> Published {
        try await self.connection.publish(events)
    }

    /// Publishes one event; returns after its COMMIT.
    @discardableResult
    public func publish(_ event: Event) async throws(DormouseError) -> Published {
        try await self.publish([event])
    }

    // MARK: Subscribing

    /// A sequence of deliveries, which is opened by its first use.
    public func subscribe(_ options: SubscribeOptions) -> Subscription {
        Subscription(self, options)
    }

    /// The same with what is needed most.
    public func subscribe(
        _ name: String? = nil, _ filter: Filter = .everything, from start: Start = .next
    ) -> Subscription {
        self.subscribe(SubscribeOptions(name: name, filter, from: start))
    }

    // MARK: The connection

    /// Sends what is queued, waits for its answers, and closes. Throws `timeout` when not everything
    /// was answered. Other calls fail from then on.
    public func close(timeout: Int32 = 5_000) async throws(DormouseError) {
        try await self.connection.close(timeoutMilliseconds: timeout)
    }

    /// The 16 bytes that name the log, as of the newest welcome.
    public var incarnation: [UInt8] {
        get async {
            await self.connection.read { Array(dormouse_incarnation($0)) }
        }
    }

    /// Such as `dormoused/0.1.0`.
    public var serverName: String {
        get async {
            await self.connection.read { String(cString: dormouse_server_name($0)) }
        }
    }

    /// How often a connection was opened, the first included.
    public var connections: UInt64 {
        get async { await self.connection.read { dormouse_connections($0) } }
    }
}

extension Connection {
    func read<Value: Sendable>(_ body: (OpaquePointer) -> Value) -> Value {
        body(self.handle.pointer)
    }
}
