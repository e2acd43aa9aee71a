import Channels
package import Core

/// Exchanges, receivers, subscribers and producers in Postgres, over one connection on a thread of
/// its own. A call that finds the connection broken makes a new one and runs once more, except
/// where that could change the answer.
package actor PostgresState: StateStore {
    private nonisolated let executor = ThreadExecutor(name: "state")
    let connection: ReconnectingConnection
    /// Who we are, once exchanges were taken: what belongs to an exchange of somebody else is not
    /// changed.
    private var owner: Int64 = 0

    package init(_ settings: ConnectionSettings) {
        self.connection = ReconnectingConnection(settings)
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        self.executor.asUnownedSerialExecutor()
    }

    /// Connects and brings the schema up to date.
    package func migrate() throws(Failure) {
        try self.connection.perform { connection throws(Failure) in
            try Migrations.run(connection)
        }
    }

    /// Ends the connection and the thread, after the calls made before.
    package nonisolated func close() async {
        await self.disconnect()
        self.executor.stop()
    }

    package func takeExchanges(as owner: OwnerID) throws(Failure) -> [ExchangeRecord] {
        self.owner = owner.rawValue
        let parameters = Self.parameters(owner.rawValue)
        // Before anybody can see that the exchanges are ours.
        self.connection.prepareEach { connection throws(Failure) in
            try connection.run(StateStatements.showLife, parameters)
        }
        return try self.connection.perform { connection throws(Failure) in
            try connection.transaction { () throws(Failure) in
                try connection.execute(
                    "INSERT INTO dormouse.exchange (name) VALUES ('main') ON CONFLICT DO NOTHING")
                try connection.run(StateStatements.take, parameters)
                // A statement of its own: it sees what was committed while the one before waited.
                let result = try connection.run(StateStatements.taken, parameters)
                return try result.map { row throws(Failure) in
                    try Self.exchange(result, row)
                }
            }
        }
    }

    package func exchangesTaken(from owner: OwnerID) throws(Failure) -> [TakenExchange] {
        let result = try self.run(StateStatements.takenFrom, Self.parameters(owner.rawValue))
        return try result.map { row throws(Failure) in
            TakenExchange(
                id: ExchangeID(rawValue: try result.integer(row, 0)),
                isOwnerAlive: try result.integer(row, 1) == 1)
        }
    }

    package func producers(of exchange: ExchangeID, after name: Name?, limit: Int)
        throws(Failure) -> [ProducerMark]
    {
        let result = try self.run(StateStatements.producers, Self.page(exchange, name, limit))
        return try result.map { row throws(Failure) in
            ProducerMark(
                name: try result.name(row, 0),
                sequence: UInt64(bitPattern: try result.integer(row, 1)),
                position: try result.position(row, 2), principal: try result.optionalName(row, 3))
        }
    }

    package func receivers(of exchange: ExchangeID, after id: ReceiverID?, limit: Int)
        throws(Failure) -> [ReceiverRecord]
    {
        let result = try self.run(
            StateStatements.receivers,
            Self.parameters(exchange.rawValue, id?.rawValue ?? .min, Int64(limit)))
        return try result.map { row throws(Failure) in
            ReceiverRecord(
                exchange: exchange, id: ReceiverID(rawValue: try result.integer(row, 0)),
                config: try ReceiverConfig(canonicalBytes: result.bytes(row, 1)))
        }
    }

    package func subscribers(of exchange: ExchangeID, after name: Name?, limit: Int)
        throws(Failure) -> [SubscriberRecord]
    {
        let result = try self.run(StateStatements.subscribers, Self.page(exchange, name, limit))
        return try result.map { row throws(Failure) in
            let pause =
                result.isNull(row, 4)
                ? nil : Pause(until: try result.time(row, 4), reason: result.text(row, 5))
            return SubscriberRecord(
                exchange: exchange, name: try result.name(row, 0),
                receiver: ReceiverID(rawValue: try result.integer(row, 1)),
                position: try result.position(row, 2),
                epoch: SessionEpoch(rawValue: try result.integer(row, 3)), pause: pause,
                principal: try result.optionalName(row, 6))
        }
    }

    package func incarnation() throws(Failure) -> Incarnation {
        let result = try self.run(StateStatements.incarnation, Parameters())
        guard result.rowsCount == 1 else { throw .damaged("dormouse.server has no row") }
        return Incarnation(bytes: result.bytes(0, 0))
    }

    package func endIncarnation(_ old: Incarnation) throws(Failure) -> Incarnation {
        var parameters = Parameters()
        parameters.add(old.bytes)
        // A second time, after a lost answer, it changes nothing.
        try self.run(StateStatements.endIncarnation, parameters)
        return try self.incarnation()
    }

    package func createExchange(_ name: Name, owner: OwnerID) throws(Failure) -> ExchangeRecord {
        var parameters = Parameters()
        parameters.add(name.text)
        parameters.add(owner.rawValue)
        let result = try self.connection.performOnce { connection throws(Failure) in
            try connection.run(StateStatements.createExchange, parameters)
        }
        guard result.rowsCount == 1 else {
            throw Failure(.alreadyExists, "there is already an exchange named \(name)")
        }
        return try Self.exchange(result, 0)
    }

    package func registerReceiver(_ config: ReceiverConfig, in exchange: ExchangeID)
        throws(Failure) -> ReceiverID
    {
        var parameters = Self.parameters(exchange.rawValue)
        parameters.add(config.canonicalBytes)
        parameters.add(ConfigJSON.text(config))
        parameters.add(self.owner)
        return try self.connection.perform { connection throws(Failure) in
            let found = try connection.run(StateStatements.findReceiver, parameters.prefix(2))
            if found.rowsCount == 1 { return ReceiverID(rawValue: try found.integer(0, 0)) }
            let made = try connection.run(StateStatements.makeReceiver, parameters)
            guard made.rowsCount == 1 else { throw .exchangeLost }
            return ReceiverID(rawValue: try made.integer(0, 0))
        }
    }

    package func removeReceiver(_ id: ReceiverID, of exchange: ExchangeID) throws(Failure) {
        try self.change(
            StateStatements.removeReceiver,
            Self.parameters(exchange.rawValue, self.owner, id.rawValue))
    }

    package func storeSubscriber(_ record: SubscriberRecord) throws(Failure) {
        var parameters = Self.parameters(record.exchange.rawValue, self.owner)
        parameters.add(record.name.text)
        parameters.add(record.receiver.rawValue)
        parameters.add(record.position)
        parameters.add(record.epoch.rawValue)
        if let pause = record.pause {
            parameters.add(pause.until)
            // Postgres' text holds no zero character.
            parameters.add(String(pause.reason.map { $0 == "\0" ? "\u{FFFD}" : $0 }))
        } else {
            parameters.addNull()
            parameters.addNull()
        }
        parameters.add(record.principal?.text)
        let stored = try self.change(StateStatements.storeSubscriber, parameters)
        guard try stored.integer(0, 0) == 1 else {
            throw Failure(
                .aborted,
                "the subscriber \(record.name) was changed by a newer session; retry from its state"
            )
        }
    }

    package func removeSubscriber(
        _ name: Name, of exchange: ExchangeID, upto epoch: SessionEpoch
    ) throws(Failure) {
        var parameters = Self.parameters(exchange.rawValue, self.owner)
        parameters.add(name.text)
        parameters.add(epoch.rawValue)
        try self.change(StateStatements.removeSubscriber, parameters)
    }

    package func savePositions(
        _ positions: [PositionSave], of exchange: ExchangeID, owner: OwnerEpoch
    ) throws(Failure) -> Bool {
        let newest = Array(
            Dictionary(positions.map { ($0.name, $0) }) { left, right in
                (left.epoch, left.position) > (right.epoch, right.position) ? left : right
            }.values)
        var parameters = Self.parameters(exchange.rawValue, owner.rawValue)
        parameters.add(newest.map { Optional($0.name.text) })
        parameters.add(newest.map { Int64(clamping: $0.position.rawValue) })
        parameters.add(newest.map(\.epoch.rawValue))
        return try self.run(StateStatements.savePositions, parameters).rowsCount == 1
    }

    private func disconnect() {
        self.connection.close()
    }

    /// Runs a statement that answers with a row only while the exchange is ours.
    @discardableResult
    private func change(_ statement: Statement, _ parameters: Parameters) throws(Failure)
        -> PostgresResult
    {
        let result = try self.run(statement, parameters)
        guard result.rowsCount == 1 else { throw .exchangeLost }
        return result
    }

    @discardableResult
    private func run(_ statement: Statement, _ parameters: Parameters) throws(Failure)
        -> PostgresResult
    {
        try self.connection.perform { connection throws(Failure) in
            try connection.run(statement, parameters)
        }
    }

    private static func parameters(_ integers: Int64...) -> Parameters {
        var parameters = Parameters()
        for integer in integers { parameters.add(integer) }
        return parameters
    }

    private static func page(_ exchange: ExchangeID, _ name: Name?, _ limit: Int) -> Parameters {
        var parameters = Self.parameters(exchange.rawValue)
        // Before every name.
        parameters.add(name?.text ?? "")
        parameters.add(Int64(limit))
        return parameters
    }

    private static func exchange(_ result: PostgresResult, _ row: Int) throws(Failure)
        -> ExchangeRecord
    {
        ExchangeRecord(
            id: ExchangeID(rawValue: try result.integer(row, 0)), name: try result.name(row, 1),
            epoch: OwnerEpoch(rawValue: try result.integer(row, 2)),
            head: try result.position(row, 3), first: try result.position(row, 4),
            lastAt: result.isNull(row, 5) ? .zero : try result.time(row, 5),
            bytes: UInt64(clamping: try result.integer(row, 6)))
    }
}
