import Channels
package import Core

/// The log in Postgres: one thread writes, some read, one merges; each has its own connection.
package final class PostgresLog: EventLog {
    let writer: AppendWriter
    private let readers: [LogReader]
    /// The readers that nobody uses now.
    private let idle: BoundedChannel<LogReader>
    /// Merges, so that a merge holds up no reader.
    private let merger: LogReader
    /// Per exchange: before this position no small chunks are worth merging.
    private let merged = Lock<[ExchangeID: Position]>([:])

    package init(_ settings: ConnectionSettings, readers: Int, appendsInFlightMax: Int) {
        self.writer = AppendWriter(settings, inFlightMax: appendsInFlightMax)
        self.readers = (1...max(1, readers)).map { LogReader(settings, name: "log-reader-\($0)") }
        self.idle = BoundedChannel(capacity: max(1, readers))
        self.merger = LogReader(settings, name: "log-merger")
        for reader in self.readers { _ = self.idle.trySend(reader) }
    }

    package func append(_ append: Append) async -> AppendOutcome {
        await withCheckedContinuation { self.writer.submit(.append(append, $0)) }
    }

    package func retakeOwnership(of exchange: ExchangeID, as owner: OwnerID)
        async throws(Failure) -> Ownership?
    {
        try await withCheckedContinuation {
            self.writer.submit(.retake(exchange, owner, $0))
        }.get()
    }

    package func read(_ exchange: ExchangeID, after: Position, bytesMax: Int)
        async throws(Failure) -> LogPage
    {
        try await self.withReader { reader throws(Failure) in
            try await reader.read(exchange, after: after, bytesMax: bytesMax)
        }
    }

    package func keys(_ exchange: ExchangeID, after: Position, limit: Int)
        async throws(Failure) -> [ChunkKeys]
    {
        try await self.withReader { reader throws(Failure) in
            try await reader.keys(exchange, after: after, limit: limit)
        }
    }

    package func position(before time: Timestamp, in exchange: ExchangeID)
        async throws(Failure) -> Position?
    {
        try await self.withReader { reader throws(Failure) in
            try await reader.position(before: time, in: exchange)
        }
    }

    package func mergeSmallChunks(_ exchange: ExchangeID, upto: Position, chunkBytesMax: Int)
        async throws(Failure) -> Int
    {
        // 64 scans are about 65,000 chunks in 0.1 s; a restart looks through a longer log in
        // several calls.
        for _ in 0..<64 {
            let from = self.merged.withLock { $0[exchange] ?? .origin }
            let outlines = try await self.merger.scan(exchange, from: from, upto: upto)
            switch ChunkRun.search(outlines, from: from, chunkBytesMax: chunkBytesMax) {
            case .found(let run):
                self.merged.withLock { $0[exchange] = run.first }
                let isMerged = try await self.merger.merge(run, in: exchange)
                return isMerged ? run.chunks.count - 1 : 0
            case .none(let next):
                self.merged.withLock { $0[exchange] = next }
                if outlines.count < ChunkOutline.scanRowsMax || next == from { return 0 }
            }
        }
        return 0
    }

    /// Finishes what was asked for, and ends the threads and connections.
    package func close() async {
        self.idle.close()
        self.writer.close()
        for reader in self.readers + [self.merger] {
            await reader.close()
            reader.stop()
        }
    }

    private func withReader<Result: Sendable>(
        _ body: (LogReader) async throws(Failure) -> Result
    ) async throws(Failure) -> Result {
        guard let reader = await self.idle.receive() else {
            throw Failure(.cancelled, "the read was cancelled or the log is closed")
        }
        // There is room: each reader has its place.
        defer { _ = self.idle.trySend(reader) }
        return try await body(reader)
    }
}
