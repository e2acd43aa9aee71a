import Core
import Foundation
import Net
import Testing

extension NetTests {
    @Suite struct ConnectionTests {
        @Test func anEchoReturnsEveryByteWhateverTheSizesAndSplits() throws {
            let thread = try LoopThread()
            let listener = try thread.listen { _ in Echo() }
            let seed = UInt64.random(in: 0...UInt64.max)
            for size in [1, 2, 511, 512, 4095, 4096, 4097, 65_536, 65_537, 300_000, 3_000_001] {
                let client = try Client(port: listener.port)
                let bytes = pattern(size)
                let sent = Mailbox<Bool>()
                Thread.detachNewThread {
                    var generator = SeededGenerator(seed: seed)
                    var start = 0
                    while start < size {
                        let most = min(size - start, 100_000)
                        let end = start + Int.random(in: 1...most, using: &generator)
                        guard (try? client.send(Array(bytes[start..<end]))) != nil else { break }
                        start = end
                    }
                    sent.put(start == size)
                }
                #expect(try client.receive(size) == bytes, "size \(size), seed \(seed)")
                #expect(try sent.next())
                client.close()
            }
            try thread.stop()
        }

        @Test func aThousandConnectionsAtOnceAreAllServed() throws {
            let limit = setDescriptorLimit(nil)
            defer { setDescriptorLimit(limit) }
            let thread = try LoopThread()
            let closed = Mailbox<ConnectionID>()
            let listener = try thread.listen { _ in
                ClosingEcho { closed.put($0) }
            }
            let clients = try (0..<1000).map { _ in try Client(port: listener.port) }
            for (index, client) in clients.enumerated() {
                try client.send(pattern(100, from: index))
            }
            for (index, client) in clients.enumerated() {
                #expect(try client.receive(100) == pattern(100, from: index))
            }
            for client in clients { client.close() }
            var ids: Set<ConnectionID> = []
            for _ in clients { ids.insert(try closed.next()) }
            #expect(ids.count == 1000)
            try thread.stop()
        }

        @Test func sixtyFourMebibytesForASlowReaderAreQueuedWithoutACopy() throws {
            let pair = try Pair(receiveBytes: 64 << 10)
            let connection = pair.connection
            let block = ByteBlock(copying: pattern(1 << 20))
            let before = residentBytes()
            try pair.thread.on {
                for _ in 0..<64 { connection.send(block, 0..<block.count) }
            }
            // A turn later the kernel has taken what it wants.
            let queued = try pair.thread.on { connection.queuedBytes }
            #expect(queued > 32 << 20)
            #expect(queued <= 64 << 20)
            // One of them taken or queued, never both, never neither.
            let (waiting, taken) = try pair.thread.on {
                (connection.queuedBytes, connection.takenBytes)
            }
            #expect(waiting + Int(taken) == 64 << 20)
            if let before, let after = residentBytes() {
                #expect(after - before < 16 << 20)
            }
            let expected = block.bytes
            for _ in 0..<64 {
                guard try pair.client.receive(1 << 20) == expected else {
                    Issue.record("other bytes came")
                    break
                }
            }
            #expect(try pair.recorder.events.next() == .drained)
            #expect(try pair.thread.on { connection.queuedBytes } <= 64 << 10)
            let left = try pair.thread.on { connection.queuedBytes + Int(connection.takenBytes) }
            #expect(left == 64 << 20)
            try pair.end()
        }

        @Test func copiesAndBlocksArriveInTheOrderInWhichTheyWereSent() throws {
            let pair = try Pair(receiveBytes: 16 << 10)
            let connection = pair.connection
            let seed = UInt64.random(in: 0...UInt64.max)
            let total = try pair.thread.on {
                var generator = SeededGenerator(seed: seed)
                var total = 0
                for _ in 0..<5000 {
                    let large = Int.random(in: 0..<20, using: &generator) == 0
                    let most = large ? 100_000 : 700
                    let count = Int.random(in: 0...most, using: &generator)
                    let bytes = pattern(count + 20, from: total)
                    if Bool.random(using: &generator) {
                        connection.send(Array(bytes[..<count]))
                    } else {
                        let block = ByteBlock(copying: pattern(10, from: 7) + bytes)
                        connection.send(block, 10..<(10 + count))
                    }
                    total += count
                }
                return total
            }
            #expect(try pair.client.receive(total) == pattern(total), "seed \(seed)")
            try pair.end()
        }

        @Test func drainedIsToldOnceForEachTimeTheQueueWasLarge() throws {
            let pair = try Pair()
            let connection = pair.connection
            try pair.thread.on {
                connection.lowWaterBytes = 1000
                connection.send([UInt8](repeating: 1, count: 1000))
            }
            // Not above the mark, so nothing is told before the bytes that follow are.
            try pair.client.send([7])
            #expect(try pair.recorder.events.next() == .received([7]))
            for _ in 0..<3 {
                try pair.thread.on { connection.send([UInt8](repeating: 2, count: 8_000_000)) }
                _ = try pair.client.receive(8_000_000)
                #expect(try pair.recorder.events.next() == .drained)
            }
            #expect(pair.recorder.events.all.isEmpty)
            try pair.end()
        }

        @Test func aPausedConnectionReceivesNothingUntilItIsResumed() throws {
            let pair = try Pair()
            let connection = pair.connection
            try pair.thread.on { connection.pauseReading() }
            try pair.client.send(pattern(100))
            // A second connection's echo proves that the loop has looked meanwhile.
            let other = try Client(port: pair.listener.port)
            try other.send([1])
            #expect(try pair.recorder.events.next() == .received([1]))
            #expect(pair.recorder.events.all.isEmpty)
            try pair.thread.on { connection.resumeReading() }
            #expect(try pair.recorder.bytes(100) == pattern(100))
            other.close()
            try pair.end()
        }

        @Test func progressStandsStillWhileThePeerReadsNothing() throws {
            let pair = try Pair(receiveBytes: 16 << 10)
            let connection = pair.connection
            let sent = try pair.thread.on {
                connection.send(pattern(20_000_000))
                return pair.thread.loop.now()
            }
            let stuck = try settled(pair)
            #expect(stuck >= sent)
            #expect(try pair.thread.on { connection.lastWriteProgress } == stuck)
            _ = try pair.client.receive(15_000_000)
            #expect(try pair.thread.on { connection.lastWriteProgress } > stuck)
            try pair.end()
        }

        /// The progress once the kernel's buffers are full: two looks in a row are the same.
        private func settled(_ pair: Pair) throws -> Instant {
            let connection = pair.connection
            var last: (Instant, Int) = (Instant(rawValue: 0), -1)
            var same = 0
            while same < 100 {
                let now = try pair.thread.on {
                    (connection.lastWriteProgress, connection.queuedBytes)
                }
                same = now == last ? same + 1 : 0
                last = now
            }
            return last.0
        }
    }
}

private final class ClosingEcho: ConnectionHandler {
    private let body: @Sendable (ConnectionID) -> Void
    init(_ body: @escaping @Sendable (ConnectionID) -> Void) { self.body = body }
    func received(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        connection.send(copying: bytes)
    }
    func drained(_ connection: Connection) {}
    func closed(_ connection: Connection, reason: String) { self.body(connection.id) }
}
