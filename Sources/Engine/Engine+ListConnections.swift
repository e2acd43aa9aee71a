internal import Core
internal import Wire

extension Engine {
    func listConnections(
        _ request: ListConnectionsRequest, _ stream: StreamID, _ session: Session
    ) throws(Failure) {
        try session.permissions.administeringEverything()
        let after: UInt64
        if request.pageToken.isEmpty {
            after = 0
        } else if let token = UInt64(String(decoding: request.pageToken, as: UTF8.self)) {
            after = token
        } else {
            throw Failure(
                .invalidArgument,
                "the page token is none of this server; expected that of the reply before, or none")
        }
        let size = self.limits.pageSize(request.pageSize)
        let connection = session.id
        try self.spawn(session, stream) { (engine) async throws(Failure) -> Reply? in
            try await engine.withRoom(for: connection) { () async throws(Failure) -> Reply in
                .listConnections(engine.listConnections(after: after, size: size))
            }
        }
    }

    /// A page, by number. Connections that come and go meanwhile are seen or not.
    private func listConnections(after: UInt64, size: Int) -> ListConnectionsReply {
        let ids = self.sessions.keys.filter { $0.rawValue > after }.sorted()
        var reply = ListConnectionsReply()
        var bytes = 0
        for id in ids {
            guard let session = self.sessions[id] else { continue }
            guard reply.connections.count < size, bytes < self.limits.frameBytesMax / 2 else {
                reply.nextPageToken = Array(String(reply.connections.last?.id ?? 0).utf8)
                break
            }
            let entry = self.describe(session)
            bytes +=
                256 + entry.peer.count + entry.client.count + entry.library.count
                + entry.principal.count + entry.names.reduce(0) { $0 + $1.count + 4 }
            reply.connections.append(entry)
        }
        return reply
    }

    private func describe(_ session: Session) -> ConnectionInfo {
        // By stream, which is the order in which most clients asked for them.
        let first = session.subscriptions.keys.sorted().prefix(Limits.connectionNamesMax)
        let names = first.compactMap { stream in
            session.subscriptions[stream].map { subscriber in
                Array("\(subscriber.exchange.name.text)/\(subscriber.name?.text ?? "")".utf8)
            }
        }
        return ConnectionInfo(
            id: session.id.rawValue, peer: Array(session.peer.address.utf8),
            client: Array(session.client.utf8), library: Array(session.library.utf8),
            principal: Array(session.principal.utf8), since: session.since.rawValue,
            subscriptions: UInt32(clamping: session.subscriptions.count), names: names,
            published: session.published, delivered: session.delivered,
            queuedBytes: UInt64(clamping: session.peer.queuedBytes),
            sentBytes: session.peer.takenBytes, receivedBytes: session.receivedBytes)
    }
}
