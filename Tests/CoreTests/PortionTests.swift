import Testing

@testable import Core

@Suite struct PortionTests {
    private static let keys = ["a", "bb", "c", "dd", "e"]

    private static func cut(
        _ matches: Matches = .all, after: UInt64 = 10, upto: UInt64 = .max, events: Int = 100,
        cost: Int = 10_000, frame: Int = 10_000
    ) throws -> (chunk: Chunk, portion: Portion) {
        let chunk = try chunk(keys: Self.keys, first: 11)
        let portion = Portion(
            of: chunk, after: Position(after), upto: Position(upto), matches: matches,
            allowance: Portion.Allowance(events: events, cost: cost, frameBytes: frame))
        return (chunk, portion)
    }

    /// Keys of the portion's bytes.
    private static func keys(_ chunk: Chunk, _ portion: Portion) -> [String] {
        let all = chunk.block.bytes
        return Decoder.events(portion.ranges.flatMap { all[$0] }).map { text($0.key) }
    }

    @Test func allIsOneRange() throws {
        let (chunk, portion) = try Self.cut()
        #expect(portion.ranges == [0..<chunk.bytesCount])
        #expect(portion.events == 5 && portion.upto == Position(15) && !portion.isStuck)
        #expect(portion.bytes == chunk.bytesCount)
        #expect(portion.cost == (0..<5).map { chunk.messageBytes($0) }.reduce(0, +))
        #expect(portion.after == Position(10))
    }

    @Test func itBeginsAfterAPositionAndEndsAtAnother() throws {
        let (chunk, portion) = try Self.cut(after: 12, upto: 14)
        #expect(Self.keys(chunk, portion) == ["c", "dd"] && portion.upto == Position(14))
        #expect(portion.ranges.count == 1)
        let (_, some) = try Self.cut(.some([0, 2, 4]), after: 12, upto: 14)
        #expect(some.events == 1 && some.upto == Position(14))
        let (_, empty) = try Self.cut(after: 15)
        #expect(empty.events == 0 && empty.upto == Position(15) && empty.ranges.isEmpty)
    }

    @Test func noneMovesOnWithoutEvents() throws {
        let (_, portion) = try Self.cut(.none, events: 0)
        #expect(portion.events == 0 && portion.upto == Position(15) && portion.ranges.isEmpty)
        let (_, bounded) = try Self.cut(.none, upto: 13)
        #expect(bounded.upto == Position(13))
    }

    @Test func neighboursAreJoined() throws {
        let (chunk, portion) = try Self.cut(.some([0, 1, 3, 4]))
        #expect(Self.keys(chunk, portion) == ["a", "bb", "dd", "e"])
        #expect(portion.ranges.count == 2)
        #expect(portion.bytes == portion.ranges.map(\.count).reduce(0, +))
        #expect(portion.upto == Position(15))
    }

    @Test func theCreditOfEventsBoundsIt() throws {
        let (chunk, portion) = try Self.cut(events: 2)
        #expect(Self.keys(chunk, portion) == ["a", "bb"] && portion.upto == Position(12))
        let (_, some) = try Self.cut(.some([0, 3]), events: 1)
        #expect(some.events == 1 && some.upto == Position(13))
        let (_, nothing) = try Self.cut(events: 0)
        #expect(nothing.events == 0 && nothing.upto == Position(10) && !nothing.isStuck)
    }

    @Test func theLastEventMayOverdrawTheCreditOfBytes() throws {
        let size = try Self.cut().chunk.messageBytes(0)
        let (chunk, portion) = try Self.cut(cost: 1)
        #expect(portion.events == 1 && portion.cost == size && portion.upto == Position(11))
        let (_, exact) = try Self.cut(cost: size)
        #expect(exact.events == 1)
        let (_, more) = try Self.cut(cost: size + 1)
        #expect(more.events == 2 && more.cost == size + chunk.messageBytes(1))
        let (_, nothing) = try Self.cut(cost: 0)
        #expect(nothing.events == 0 && !nothing.isStuck)
    }

    @Test func aFrameIsNeverOverdrawn() throws {
        let chunk = try Self.cut().chunk
        let two = chunk.recordRange(1).upperBound
        #expect(try Self.cut(frame: two).portion.events == 2)
        #expect(try Self.cut(frame: two - 1).portion.events == 1)
        #expect(try Self.cut(frame: chunk.bytesCount).portion.events == 5)
        #expect(try Self.cut(frame: chunk.bytesCount - 1).portion.events == 4)
    }

    @Test func anEventThatFitsIntoNoFrameIsStuck() throws {
        let (_, portion) = try Self.cut(frame: 5)
        #expect(portion.isStuck && portion.events == 0 && portion.upto == Position(10))
        // The ones before it are sent first.
        let big = try chunk([
            Event(key: bytes("a")),
            Event(key: bytes("b"), payload: [UInt8](repeating: 1, count: 99)),
        ])
        let allowance = Portion.Allowance(events: 9, cost: 999, frameBytes: 60)
        let first = Portion(
            of: big, after: .origin, upto: .last, matches: .all, allowance: allowance)
        #expect(first.events == 1 && first.upto == Position(1) && !first.isStuck)
        let second = Portion(
            of: big, after: Position(1), upto: .last, matches: .all, allowance: allowance)
        #expect(second.isStuck && second.upto == Position(1))
    }

    @Test func portionsAddUpToAllThatMatches() throws {
        for seed in seeds(300) {
            var random = SeededGenerator(seed: seed)
            let chunk = try chunk(
                (0..<Int.random(in: 1...20, using: &random)).map { index in
                    let size = Int.random(in: 0...200, using: &random)
                    return Event(
                        key: bytes("k\(index)"), payload: [UInt8](repeating: 1, count: size))
                }, first: 11)
            let indices = (0..<chunk.count).filter { _ in random.chance(60) }
            let isAll = random.chance(30)
            let matches: Matches = isAll ? .all : .some(indices.map { UInt32($0) })
            var sent: [String] = []
            var after = Position(10)
            for _ in 0..<50 where after < chunk.last {
                let allowance = Portion.Allowance(
                    events: Int.random(in: 1...5, using: &random),
                    cost: Int.random(in: 1...600, using: &random),
                    frameBytes: Int.random(in: 300...700, using: &random))
                let end = Position(after.rawValue + UInt64.random(in: 1...30, using: &random))
                let portion = Portion(
                    of: chunk, after: after, upto: end, matches: matches, allowance: allowance)
                let isWithin =
                    portion.events <= allowance.events && portion.bytes <= allowance.frameBytes
                if portion.upto < after || portion.upto > end || !isWithin {
                    report("\(portion) after \(after) to \(end)", seed: seed)
                }
                sent += Self.keys(chunk, portion)
                after = portion.upto
            }
            let expected = (isAll ? Array(0..<chunk.count) : indices).map { "k\($0)" }
            if sent != expected { report("sent \(sent), expected \(expected)", seed: seed) }
        }
    }
}
