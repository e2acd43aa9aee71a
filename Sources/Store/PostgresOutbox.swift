import Channels
package import Core

/// The outbox in Postgres, over one connection on a thread of its own. Rows leave it with an append, on the writer's
/// connection.
package actor PostgresOutbox: Outbox {
    private nonisolated let executor = ThreadExecutor(name: "outbox")
    private let connection: ReconnectingConnection
    private var rowsSinceVacuum = 0
    private let rowsPerVacuum: Int

    /// A vacuum takes some 200 ms: with half a million rows it adds less than half a microsecond to each.
    package init(_ settings: ConnectionSettings, rowsPerVacuum: Int = 500_000) {
        self.rowsPerVacuum = rowsPerVacuum
        self.connection = ReconnectingConnection(settings)
        self.connection.prepareEach(LogReader.prepare)
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        self.executor.asUnownedSerialExecutor()
    }

    package nonisolated func close() async {
        await self.disconnect()
        self.executor.stop()
    }

    private func disconnect() { self.connection.close() }

    // MARK: Moving

    package func look() throws(Failure) -> OutboxLook {
        try self.vacuumIfDue()
        let found = try self.identifiers(OutboxStatements.waiting)
        guard found.contains(0) else {
            return OutboxLook(exchanges: found.map(ExchangeID.init(rawValue:)))
        }
        var rows = Parameters()
        rows.add(Self.partRowsMax)
        // All of them before anything is read: a writer's rows stay in order. What is set aside may wait for the next look.
        while try self.connection.perform({ connection throws(Failure) in
            try connection.run(OutboxStatements.adopt, rows).rowsCount
        }) == Int(Self.partRowsMax) {}
        let unknown = try self.connection.perform { connection throws(Failure) in
            try connection.run(OutboxStatements.setAsideUnknown, rows).rowsCount
        }
        let exchanges = try self.identifiers(OutboxStatements.waiting).filter { $0 != 0 }
        return OutboxLook(
            exchanges: exchanges.map(ExchangeID.init(rawValue:)), unknownRows: unknown)
    }

    package func read(_ exchange: ExchangeID, _ limits: OutboxPageLimits) throws(Failure)
        -> OutboxPage
    {
        try self.connection.perform { connection throws(Failure) in
            var parameters = Parameters()
            parameters.add(exchange.rawValue)
            parameters.add(Int64(limits.rowsMax))
            parameters.add(Int64(limits.bytesMax))
            parameters.add(Int64(limits.eventBytesMax + Self.slackBytes))
            let result = try connection.run(OutboxStatements.page, parameters)
            var page = OutboxPage()
            for row in 0..<result.rowsCount {
                try Self.add(result, row, to: &page, eventBytesMax: limits.eventBytesMax)
            }
            self.rowsSinceVacuum += page.rows.count
            return page
        }
    }

    /// Rows that have left lie where the walks through the index begin, and a million of them takes 5 ms to pass by. Under
    /// load Postgres' own vacuum comes too seldom (each minute); in a table that has become large it is left to it, since a
    /// vacuum holds up the moves.
    private func vacuumIfDue() throws(Failure) {
        guard self.rowsSinceVacuum >= self.rowsPerVacuum else { return }
        self.rowsSinceVacuum = 0
        try self.connection.perform { connection throws(Failure) in
            let bytes = try connection.run(OutboxStatements.size).integer(0, 0)
            guard bytes <= Self.vacuumBytesMax else { return }
            try connection.execute(OutboxStatements.vacuum)
        }
    }

    private static let vacuumBytesMax: Int64 = 256 << 20
    /// Rows that one statement takes care of.
    private static let partRowsMax: Int64 = 10_000

    package func setAside(_ rows: [UnfitRow], of exchange: ExchangeID, owner: OwnerEpoch)
        throws(Failure)
    {
        try self.connection.perform { connection throws(Failure) in
            var parameters = Parameters()
            parameters.add(exchange.rawValue)
            parameters.add(owner.rawValue)
            parameters.add(rows.map(\.id.rawValue))
            parameters.add(rows.map { Optional($0.reason) })
            try connection.run(OutboxStatements.setAside, parameters)
        }
    }

    /// What a row may have more than its event, whose size is checked when it is encoded: headers are larger as JSON.
    private static let slackBytes = 64 << 10

    private static func add(
        _ result: PostgresResult, _ row: Int, to page: inout OutboxPage, eventBytesMax: Int
    ) throws(Failure) {
        let id = OutboxID(rawValue: try result.integer(row, 0))
        let bytes = try result.integer(row, 1)
        do throws(Failure) {
            if bytes > Int64(eventBytesMax + Self.slackBytes) {
                throw Failure(
                    .invalidArgument,
                    "the row has \(bytes) bytes; expected at most \(eventBytesMax) for an event. Send a reference to "
                        + "large content, or start the server with a larger --frame-bytes")
            }
            // SQL's null, or JSON's.
            if !result.isNull(row, 6), !["object", "null"].contains(result.text(row, 6)) {
                throw Failure(
                    .invalidArgument,
                    "the headers are a JSON \(result.text(row, 6)); expected an object of names and values"
                )
            }
            try result.withBytes(row, 2...7) { (columns) throws(Failure) in
                try page.events.append(
                    EventRecord.Parts(
                        key: columns[0], payload: columns[1], id: columns[2],
                        contentType: columns[3]),
                    headers: try Self.headers(columns[5]), eventBytesMax: eventBytesMax)
            }
            page.rows.append(id)
        } catch {
            page.unfit.append(UnfitRow(id: id, reason: error.message))
        }
    }

    private static func headers(_ bytes: UnsafeRawBufferPointer) throws(Failure)
        -> [EventRecord.HeaderBytes]
    {
        var headers: [EventRecord.HeaderBytes] = []
        var offset = 0
        while offset < bytes.count {
            let name = try Self.part(bytes, &offset)
            let value = try Self.part(bytes, &offset)
            headers.append(EventRecord.HeaderBytes(name: name, value: value))
        }
        return headers
    }

    private static func part(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int)
        throws(Failure) -> UnsafeRawBufferPointer
    {
        guard bytes.count - offset >= 4 else { throw .damaged("headers end too early") }
        let count = Int(
            UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
        offset += 4
        guard bytes.count - offset >= count else { throw .damaged("headers end too early") }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    // MARK: What was set aside

    package func aside(after id: OutboxID?, limit: Int) throws(Failure) -> [AsideRow] {
        try self.connection.perform { connection throws(Failure) in
            var parameters = Parameters()
            parameters.add(id?.rawValue ?? Int64.min)
            parameters.add(Int64(limit))
            let result = try connection.run(OutboxStatements.aside, parameters)
            return try result.map { row throws(Failure) in
                AsideRow(
                    id: OutboxID(rawValue: try result.integer(row, 0)),
                    exchange: result.text(row, 1), key: result.text(row, 2),
                    bytes: Int(try result.integer(row, 3)), reason: result.text(row, 4),
                    insertedAt: try result.time(row, 5))
            }
        }
    }

    package func retry(_ ids: [OutboxID]?) throws(Failure) -> Int {
        try self.change(OutboxStatements.retry, ids)
    }

    package func drop(_ ids: [OutboxID]?) throws(Failure) -> Int {
        try self.change(OutboxStatements.drop, ids)
    }

    /// All of them part by part: a million in one statement would take longer than a statement may.
    private func change(_ statement: Statement, _ ids: [OutboxID]?) throws(Failure) -> Int {
        if let ids { return try self.change(statement, ids.map(\.rawValue)) }
        var changed = 0
        var last = Int64.min
        while true {
            var parameters = Parameters()
            parameters.add(last)
            parameters.add(Self.partRowsMax)
            let part = try self.identifiers(OutboxStatements.asideIDs, parameters)
            guard let end = part.last else { return changed }
            changed += try self.change(statement, part)
            last = end
        }
    }

    /// Once: a second time it would find nothing and say so.
    private func change(_ statement: Statement, _ ids: [Int64]) throws(Failure) -> Int {
        try self.connection.performOnce { connection throws(Failure) in
            var parameters = Parameters()
            parameters.add(ids)
            return Int(try connection.run(statement, parameters).integer(0, 0))
        }
    }

    private func identifiers(
        _ statement: Statement, _ parameters: Parameters = Parameters()
    ) throws(Failure) -> [Int64] {
        try self.connection.perform { connection throws(Failure) in
            let result = try connection.run(statement, parameters)
            return try result.map { row throws(Failure) in try result.integer(row, 0) }
        }
    }
}
