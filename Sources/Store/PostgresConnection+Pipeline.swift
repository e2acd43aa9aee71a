import CLibPQ
import Core

/// What a connection in pipeline mode has received.
enum PipelineEvent {
    case result(PostgresResult)
    case failed(Failure)
    /// What was sent before this is committed or rolled back.
    case synced
    /// Nothing complete has arrived; read on when the socket is readable.
    case busy
}

/// Pipeline mode: several transactions are sent before the first is answered, with a sync behind
/// each. See libpq's documentation, "Pipeline Mode".
extension PostgresConnection {
    var socket: Int32 {
        get throws(Failure) {
            try self.withHandle { handle throws(Failure) in
                let socket = PQsocket(handle)
                guard socket >= 0 else { throw .databaseAway("the connection has no socket") }
                return socket
            }
        }
    }

    /// After the statements have been prepared.
    func enterPipeline() throws(Failure) {
        try self.withHandle { handle throws(Failure) in
            guard PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else {
                throw Self.lost(handle)
            }
        }
    }

    /// What is sent until the next sync is one transaction.
    func send(_ step: Step) throws(Failure) {
        try self.withHandle { handle throws(Failure) in
            let sent = step.parameters.withPointers { count, values, lengths, formats in
                PQsendQueryPrepared(
                    handle, step.statement.name, count, values, lengths, formats, 1)
            }
            guard sent == 1 else { throw Self.lost(handle) }
        }
    }

    /// Ends the transaction.
    func sync() throws(Failure) {
        try self.withHandle { handle throws(Failure) in
            guard PQpipelineSync(handle) == 1 else { throw Self.lost(handle) }
        }
    }

    /// Writes what is waiting; true when some is left for when the socket is writable.
    func flush() throws(Failure) -> Bool {
        try self.withHandle { handle throws(Failure) in
            let left = PQflush(handle)
            guard left >= 0 else { throw Self.lost(handle) }
            return left == 1
        }
    }

    /// Reads what the socket has; does not wait.
    func consume() throws(Failure) {
        try self.withHandle { handle throws(Failure) in
            guard PQconsumeInput(handle) == 1, PQstatus(handle) == CONNECTION_OK else {
                throw Self.lost(handle)
            }
        }
    }

    /// The next thing that has arrived, while statements are under way.
    func nextEvent() throws(Failure) -> PipelineEvent {
        try self.withHandle { handle throws(Failure) in
            // libpq separates statements by one empty result; two in a row mean that it waits for
            // nothing, although we do.
            for _ in 0..<2 {
                if PQisBusy(handle) == 1 { return .busy }
                guard let result = PQgetResult(handle) else { continue }
                let owned = PostgresResult(owning: result)
                switch owned.status {
                case PGRES_PIPELINE_SYNC: return .synced
                case PGRES_COMMAND_OK, PGRES_TUPLES_OK: return .result(owned)
                default: return .failed(owned.failure)
                }
            }
            throw Self.lost(handle)
        }
    }

    private static func lost(_ handle: OpaquePointer) -> Failure {
        .databaseAway(String(cString: PQerrorMessage(handle)))
    }
}
