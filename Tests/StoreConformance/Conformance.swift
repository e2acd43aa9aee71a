package import Core
import Testing

// One suite for every store: each function takes a maker of a fresh, empty store and checks one
// promise of the ports. The implementations' own suites call them.

/// A fresh store: `main` is there, nothing else.
package struct StoreUnderTest: Sendable {
    package let log: any EventLog
    package let state: any StateStore
    package let close: @Sendable () async -> Void

    package init(
        log: any EventLog, state: any StateStore, close: @escaping @Sendable () async -> Void
    ) {
        self.log = log
        self.state = state
        self.close = close
    }
}

package typealias MakeStore = @Sendable () async throws -> StoreUnderTest

package enum Conformance {
    package static let owner = OwnerID(rawValue: 11)
    package static let pageBytes = 1 << 20

    /// Runs `body` with a fresh store whose `main` belongs to `owner`.
    package static func with(
        _ make: MakeStore,
        _ body: (StoreUnderTest, ExchangeRecord) async throws -> Void
    ) async throws {
        let store = try await make()
        do {
            let exchanges = try await store.state.takeExchanges(as: Self.owner)
            try await body(store, try #require(exchanges.first))
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    /// A chunk of `count` events of `payloadBytes` from `first` on, one microsecond apart.
    package static func chunk(
        _ first: UInt64, count: Int, key: String = "a.b", payloadBytes: Int = 10,
        at time: UInt64 = 0
    ) throws -> Chunk {
        let events = (0..<count).map { index in
            Event(
                publishedAt: Timestamp(rawValue: (time == 0 ? first : time) + UInt64(index)),
                key: Array(key.utf8),
                payload: Array(repeating: UInt8(truncatingIfNeeded: index), count: payloadBytes))
        }
        return try Self.chunk(first, events)
    }

    /// A chunk of these events, which get the positions from `first` on.
    package static func chunk(_ first: UInt64, _ events: [Event]) throws -> Chunk {
        var builder = ChunkBuilder(after: Position(first).previous, chunkBytesMax: .max)
        for event in events {
            var encoded = EncodedEvents()
            try encoded.append(event, eventBytesMax: 1 << 20)
            builder.append(encoded, skipping: 0, at: event.publishedAt)
        }
        return try #require(builder.finish().first)
    }

    package static func append(
        _ exchange: ExchangeRecord, after: UInt64, _ chunks: [Chunk],
        producers: [ProducerMark] = [], epoch: OwnerEpoch? = nil
    ) -> Append {
        Append(
            exchange: exchange.id, epoch: epoch ?? exchange.epoch, after: Position(after),
            chunks: chunks, producers: producers)
    }

    /// All bytes of the log, read page by page; checks that the pages follow each other.
    package static func everything(
        _ log: any EventLog, _ exchange: ExchangeID, pageBytes: Int = 1000
    )
        async throws -> [UInt8]
    {
        var bytes: [UInt8] = []
        var after = Position.origin
        while true {
            let page = try await log.read(exchange, after: after, bytesMax: pageBytes)
            guard let last = page.chunks.last?.last else { return bytes }
            for chunk in page.chunks {
                #expect(chunk.first == after.next, "no hole and no repetition")
                bytes += chunk.block.bytes
                after = chunk.last
            }
            #expect(after == last)
        }
    }
}
