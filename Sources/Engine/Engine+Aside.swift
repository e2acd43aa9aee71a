internal import Core
internal import Wire

// Rows of the outbox that were set aside: an administrator looks at them, and has them retried or dropped.

extension Engine {
    func listOutbox(
        _ request: ListOutboxRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        try session.permissions.administeringEverything()
        let size = self.limits.pageSize(request.pageSize)
        let after = OutboxID(rawValue: Int64(clamping: request.after))
        let connection = session.id
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            try await engine.withRoom(for: connection) { () async throws(Failure) -> Reply in
                let rows = try await engine.asking { () async throws(Failure) -> [AsideRow] in
                    try await engine.outbox.aside(after: after, limit: max(1, size))
                }
                return .listOutbox(ListOutboxReply(rows: rows.map(AsideRowMessage.init)))
            }
        }
    }

    func changeOutbox(
        _ request: ChangeOutboxRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        try session.permissions.administeringEverything()
        guard request.isAll != !request.ids.isEmpty else {
            throw Failure(.invalidArgument, "name rows by their ids, or say all; not both")
        }
        let ids = request.isAll ? nil : request.ids.map { OutboxID(rawValue: Int64(clamping: $0)) }
        let isDrop = request.isDrop
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            let count = try await engine.asking { () async throws(Failure) -> Int in
                isDrop ? try await engine.outbox.drop(ids) : try await engine.outbox.retry(ids)
            }
            return .changeOutbox(ChangeOutboxReply(count: UInt64(count)))
        }
    }
}

extension AsideRowMessage {
    fileprivate init(_ row: AsideRow) {
        self.init(
            id: UInt64(clamping: row.id.rawValue), exchange: Array(row.exchange.utf8),
            key: Array(row.key.utf8), bytes: UInt64(clamping: row.bytes),
            reason: Array(row.reason.utf8), insertedAt: row.insertedAt.rawValue)
    }
}
