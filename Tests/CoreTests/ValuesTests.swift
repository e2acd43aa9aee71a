import Testing

@testable import Core

@Suite struct VarintTests {
    @Test func everySizeIsWrittenAndReadBack() {
        for bits in 0...63 {
            for value in [UInt64(1) << UInt64(bits), (UInt64(1) << UInt64(bits)) - 1, .max] {
                var bytes: [UInt8] = []
                Varint.append(value, to: &bytes)
                #expect(bytes.count == Varint.size(Int(truncatingIfNeeded: value)))
                var offset = 0
                let read = bytes.withUnsafeBytes { Varint.read($0, at: &offset) }
                #expect(read == value && offset == bytes.count)
                for count in 0..<bytes.count {
                    var offset = 0
                    let cut = Array(bytes.prefix(count))
                    #expect(cut.withUnsafeBytes { Varint.read($0, at: &offset) } == nil)
                }
            }
        }
    }

    @Test func elevenBytesAreTooMany() {
        var offset = 0
        let bytes = [UInt8](repeating: 0x80, count: 10) + [1]
        #expect(bytes.withUnsafeBytes { Varint.read($0, at: &offset) } == nil)
    }

    @Test(
        arguments: [([2, 7, 7], 2), ([3, 7, 7], nil), ([0], 0), ([1], nil)] as [([UInt8], Int?)])
    func aLengthLiesWithinTheBytes(bytes: [UInt8], expected: Int?) {
        var offset = 0
        #expect(bytes.withUnsafeBytes { Varint.readLength($0, at: &offset) } == expected)
    }

    @Test func theLargestLengthIsNoTrap() {
        var offset = 0
        let bytes = [UInt8](repeating: 0xFF, count: 9) + [1]
        #expect(bytes.withUnsafeBytes { Varint.readLength($0, at: &offset) } == nil)
    }

    @Test func theLengthPrefixOfEveryRecord() {
        for message in Array(0...300) + Array(16_000...16_500) + [1 << 20, (1 << 21) - 1, 1 << 21] {
            let prefix = Varint.size(message)
            #expect(Varint.lengthPrefixSize(ofRecord: 1 + prefix + message) == prefix)
        }
    }
}

@Suite struct PositionTests {
    @Test func positionsStopAtTheLastOne() {
        #expect(Position.origin.advanced(by: 3) == Position(3))
        #expect(Position(1).advanced(by: -1) == nil)
        #expect(Position.last.advanced(by: 0) == .last)
        #expect(Position.last.advanced(by: 1) == nil)
        #expect(Position(.max).advanced(by: .max) == nil)
    }

    @Test func theNeighboursSaturate() {
        #expect(Position.origin.previous == .origin && Position(2).previous == Position(1))
        #expect(Position(.max).next == Position(.max) && Position.origin.next == Position(1))
    }

    @Test func theDistanceIsNeverNegative() {
        #expect(Position(5).distance(from: Position(2)) == 3)
        #expect(Position(2).distance(from: Position(5)) == 0)
        #expect(Position(.max).distance(from: .origin) == .max)
    }
}

@Suite struct InstantTests {
    @Test func deadlinesSaturate() {
        let start = Instant(rawValue: 5)
        #expect(start.advanced(byMilliseconds: 2) == Instant(rawValue: 2_005))
        #expect(start.advanced(byMilliseconds: -2) == start)
        #expect(start.advanced(byMilliseconds: .max) == Instant(rawValue: .max))
        #expect(Instant(rawValue: .max).advanced(byMilliseconds: 1) == Instant(rawValue: .max))
    }

    @Test func wholeMillisecondsAreCounted() {
        #expect(Instant(rawValue: 2_999).milliseconds(since: Instant(rawValue: 1_000)) == 1)
        #expect(Instant(rawValue: 1).milliseconds(since: Instant(rawValue: 9)) == 0)
    }
}

@Suite struct ByteBlockTests {
    @Test func bytesAreCopied() {
        for bytes in [[], [1, 2, 3]] as [[UInt8]] {
            let block = ByteBlock(copying: bytes)
            #expect(block.bytes == bytes && block.count == bytes.count)
            let filled = ByteBlock(count: bytes.count) { $0.copyBytes(from: bytes) }
            #expect(filled.bytes == bytes)
        }
    }

    @Test func adoptedMemoryIsGivenBackOnce() async {
        await confirmation { released in
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 2, alignment: 1)
            memory.copyBytes(from: [8, 9])
            let address = UInt(bitPattern: memory.baseAddress)
            let block = ByteBlock(adopting: UnsafeRawBufferPointer(memory)) {
                UnsafeMutableRawPointer(bitPattern: address)?.deallocate()
                released()
            }
            #expect(block.bytes == [8, 9])
        }
    }
}

@Suite struct FailureTests {
    @Test func aFailureSaysItsCodeAndItsCause() {
        let failure = Failure(.unavailable, "away", underlying: "08006")
        #expect(failure.description == "UNAVAILABLE: away (08006)")
        #expect(Failure(.internal, "x").description == "INTERNAL: x")
    }

    @Test func codesAreThoseOfTheProtocol() {
        let numbers = StatusCode.allCases.map(\.rawValue)
        #expect(numbers == Array(0...1) + Array(3...14) + [16] + Array(100...106))
        #expect(Set(StatusCode.allCases.map(\.name)).count == numbers.count)
        let retryable = StatusCode.allCases.filter(\.isRetryable)
        #expect(
            Set(retryable) == [
                .unavailable, .resourceExhausted, .aborted, .deadlineExceeded, .draining, .tooSlow,
                .paused,
            ])
    }
}

@Suite struct LimitsTests {
    @Test func theDefaultsFitTogether() {
        #expect(Limits().problem == nil)
    }

    @Test func eachRelationThatIsViolatedIsTold() {
        let violations: [(String, (inout Limits) -> Void)] = [
            ("--frame-bytes", { $0.frameBytesMax = (16 << 10) - 1 }),
            ("--frame-bytes", { $0.frameBytesMax = Limits.frameBytesMaxMax + 1 }),
            ("--outbound-bytes", { $0.outboundBytesMax = 2 * $0.frameBytesMax - 1 }),
            ("--outbound-total-bytes", { $0.outboundTotalBytesMax = $0.outboundBytesMax - 1 }),
            ("--newcomers", { $0.newcomersMax = 0 }),
            ("--newcomers-per-address", { $0.newcomersPerOriginMax = 0 }),
            ("--list-page", { $0.listPageMax = 0 }),
            ("--publish-bytes", { $0.publishBytesMax = $0.frameBytesMax - 1 }),
            ("--pending-bytes", { $0.pendingBytesMax = $0.publishBytesMax - 1 }),
            ("--replay-bytes", { $0.replayBytes = 2 * $0.replayReaders * $0.pageBytesMax - 1 }),
        ]
        for (flag, violate) in violations {
            var limits = Limits()
            violate(&limits)
            #expect(limits.problem?.contains(flag) == true)
        }
    }

    @Test func theBoundsThemselvesAreAllowed() {
        var limits = Limits()
        limits.frameBytesMax = Limits.frameBytesMaxMax
        limits.outboundBytesMax = 2 * limits.frameBytesMax
        limits.publishBytesMax = limits.frameBytesMax
        limits.pendingBytesMax = limits.publishBytesMax
        limits.replayBytes = 2 * limits.replayReaders * limits.pageBytesMax
        #expect(limits.problem == nil)
        #expect(limits.eventBytesMax == limits.frameBytesMax - 1024)
    }
}

@Suite struct UnsavedPositionsTests {
    private static let exchange = ExchangeID(rawValue: 1)

    private static func save(_ text: String, _ position: UInt64, epoch: Int64 = 1) throws
        -> PositionSave
    {
        PositionSave(
            name: try name(text), position: Position(position),
            epoch: SessionEpoch(rawValue: epoch))
    }

    @Test func theNewestOfEachSubscriberIsTaken() throws {
        var unsaved = UnsavedPositions()
        for save in [
            try Self.save("b", 5), try Self.save("b", 4), try Self.save("a", 1),
            try Self.save("b", 2, epoch: 2), try Self.save("b", 9),
        ] {
            unsaved.mark(save, in: Self.exchange)
        }
        let expected = [try Self.save("a", 1), try Self.save("b", 2, epoch: 2)]
        #expect(unsaved.take(limit: 10) == [.init(exchange: Self.exchange, positions: expected)])
        #expect(unsaved.isEmpty && unsaved.take(limit: 10).isEmpty)
    }

    @Test(arguments: [Int.min, 0, 1, 2, 3, Int.max])
    func everyLimitTakesEverything(limit: Int) throws {
        var unsaved = UnsavedPositions()
        let all = try ["a", "b", "c"].map { try Self.save($0, 1) }
        for save in all { unsaved.mark(save, in: Self.exchange) }
        unsaved.mark(all[0], in: ExchangeID(rawValue: 0))
        let batches = unsaved.take(limit: limit)
        #expect(batches.flatMap(\.positions) == [all[0]] + all)
        #expect(batches.first?.exchange == ExchangeID(rawValue: 0))
        #expect(batches.allSatisfy { $0.positions.count <= max(1, limit) })
    }

    @Test func aBatchThatComesBackYieldsToWhatIsNewer() throws {
        var unsaved = UnsavedPositions()
        unsaved.mark(try Self.save("a", 1), in: Self.exchange)
        unsaved.mark(try Self.save("b", 1), in: Self.exchange)
        let batch = try #require(unsaved.take(limit: 10).first)
        unsaved.mark(try Self.save("a", 2), in: Self.exchange)
        unsaved.giveBack(batch)
        let expected = [try Self.save("a", 2), try Self.save("b", 1)]
        #expect(unsaved.take(limit: 10).flatMap(\.positions) == expected)
    }

    private static func names(_ batches: [UnsavedPositions.Batch]) -> [String] {
        batches.flatMap(\.positions).map(\.name.text)
    }

    @Test func fewPositionsAreAlwaysDue() throws {
        var unsaved = UnsavedPositions()
        for time in stride(from: 0, to: 1_000, by: 100) {
            for index in 0..<10 {
                unsaved.mark(try Self.save("s\(index)", UInt64(time) + 1), in: Self.exchange)
            }
            #expect(
                Self.names(unsaved.takeDue(now: at(time), perSecond: 100, limit: 3)).count == 10)
        }
    }

    @Test func manyPositionsAreSavedAtABoundedRate() throws {
        var unsaved = UnsavedPositions()
        var taken: [Int: Int] = [:]
        for time in stride(from: 0, through: 4_000, by: 100) {
            for index in 0..<150 {
                unsaved.mark(try Self.save("s\(index)", UInt64(time) + 1), in: Self.exchange)
            }
            let count = Self.names(unsaved.takeDue(now: at(time), perSecond: 100, limit: 50)).count
            if count > 0 { taken[time] = count }
        }
        #expect(taken == [0: 150, 1_500: 150, 3_000: 150])
    }

    @Test func whoFallsAsleepDoesNotWaitForTheOthers() throws {
        var unsaved = UnsavedPositions()
        for name in ["a", "b"] { unsaved.mark(try Self.save(name, 1), in: Self.exchange) }
        #expect(Self.names(unsaved.takeDue(now: at(0), perSecond: 1, limit: 10)) == ["a", "b"])
        for name in ["a", "b"] { unsaved.mark(try Self.save(name, 2), in: Self.exchange) }
        unsaved.hasten(try name("b"), in: Self.exchange)
        unsaved.hasten(try name("c"), in: Self.exchange)
        // Awake again, and further; what is older changes nothing.
        for position: UInt64 in [4, 3] {
            unsaved.mark(try Self.save("b", position), in: Self.exchange)
        }
        let urgent = unsaved.takeDue(now: at(100), perSecond: 1, limit: 10)
        #expect(urgent.flatMap(\.positions) == [try Self.save("b", 4)])
        #expect(unsaved.takeDue(now: at(2_900), perSecond: 1, limit: 10).isEmpty)
        #expect(!unsaved.isEmpty)
        // Two at 0 s and one more: three seconds.
        #expect(Self.names(unsaved.takeDue(now: at(3_000), perSecond: 1, limit: 10)) == ["a"])
        #expect(unsaved.isEmpty)
    }

    @Test func whatCouldNotBeStoredIsDueAtOnce() throws {
        var unsaved = UnsavedPositions()
        unsaved.mark(try Self.save("a", 1), in: Self.exchange)
        let batch = try #require(unsaved.takeDue(now: at(0), perSecond: 1, limit: 10).first)
        unsaved.giveBack(batch)
        #expect(Self.names(unsaved.takeDue(now: at(1), perSecond: 1, limit: 10)) == ["a"])
    }

    @Test func everythingIsTakenWhatIsUrgentIncluded() throws {
        var unsaved = UnsavedPositions()
        for name in ["c", "a", "b"] { unsaved.mark(try Self.save(name, 1), in: Self.exchange) }
        unsaved.hasten(try name("b"), in: Self.exchange)
        #expect(!unsaved.isEmpty)
        #expect(Self.names(unsaved.take(limit: 10)) == ["a", "b", "c"])
        unsaved.mark(try Self.save("a", 2), in: Self.exchange)
        unsaved.hasten(try name("a"), in: Self.exchange)
        unsaved.remove(try name("a"), in: Self.exchange)
        #expect(unsaved.isEmpty)
    }

    @Test func aRemovedSubscriberIsForgotten() throws {
        var unsaved = UnsavedPositions()
        unsaved.mark(try Self.save("a", 1), in: Self.exchange)
        unsaved.remove(try name("b"), in: Self.exchange)
        #expect(!unsaved.isEmpty)
        unsaved.remove(try name("a"), in: Self.exchange)
        unsaved.remove(try name("a"), in: Self.exchange)
        #expect(unsaved.isEmpty)
    }
}
