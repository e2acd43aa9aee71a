import Testing

@testable import Core

@Suite struct TailBufferTests {
    /// Chunks of two events each, from `first` on.
    private static func tail(first: UInt64 = 11, chunks: UInt64) throws -> TailBuffer {
        var tail = TailBuffer()
        for index in 0..<chunks {
            tail.append(try chunk(keys: ["a", "b"], first: first + 2 * index))
        }
        return tail
    }

    @Test func anEmptyTailHasNothing() {
        let tail = TailBuffer()
        #expect(tail.isEmpty && tail.first == nil && tail.bytes == 0 && tail.chunksCount == 0)
        #expect(tail.chunk(after: .origin) == nil)
        #expect(tail.chunk(after: Position(.max)) == nil)
    }

    @Test func eachPositionIsFoundInItsChunk() throws {
        let tail = try Self.tail(chunks: 5)
        for position in 0...30 as ClosedRange<UInt64> {
            let found = tail.chunk(after: Position(position))?.first.rawValue
            let next = position + 1
            let expected = (11...20).contains(next) ? next - (next - 11) % 2 : nil
            #expect(found == expected, "after \(position)")
        }
        #expect(tail.chunk(after: Position(.max)) == nil)
    }

    @Test func theOldestAreEvictedUntilTheRestFits() throws {
        var tail = try Self.tail(chunks: 4)
        let size = tail.bytes / 4
        tail.evict(to: 2 * size)
        #expect(tail.first == Position(15) && tail.chunksCount == 2 && tail.bytes == 2 * size)
        #expect(tail.chunk(after: Position(13)) == nil)
        #expect(tail.chunk(after: Position(14))?.first == Position(15))
        tail.evict(to: 2 * size - 1)
        #expect(tail.first == Position(17))
    }

    @Test func theNewestChunkStays() throws {
        var tail = try Self.tail(chunks: 3)
        tail.evict(to: 0)
        #expect(tail.first == Position(15) && tail.chunksCount == 1 && !tail.isEmpty)
        tail.evict(to: 0)
        #expect(tail.chunksCount == 1)
    }

    @Test func evictedMemoryIsFreed() throws {
        var tail = TailBuffer()
        weak let oldest: ByteBlock?
        do {
            let first = try chunk(keys: ["a"])
            oldest = first.block
            tail.append(first)
        }
        tail.append(try chunk(keys: ["b"], first: 2))
        #expect(oldest != nil)
        tail.evict(to: 0)
        #expect(oldest == nil)
    }

    @Test func aLongLifeKeepsTheTailRight() throws {
        var tail = try Self.tail(first: 1, chunks: 1)
        let size = tail.bytes
        for index in 1..<400 as Range<UInt64> {
            tail.append(try chunk(keys: ["a", "b"], first: 1 + 2 * index))
            tail.evict(to: 3 * size)
            let oldest = 1 + 2 * (index - min(index, 2))
            #expect(tail.first == Position(oldest))
            #expect(tail.chunk(after: Position(2 * index))?.first == Position(1 + 2 * index))
            #expect(tail.chunk(after: Position(oldest))?.first == Position(oldest))
            #expect(tail.bytes == tail.chunksCount * size)
        }
    }
}
