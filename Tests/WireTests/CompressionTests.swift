import Core
import Testing
import Wire

@Suite struct CompressionTests {
    private static let records: [UInt8] = {
        var events = EncodedEvents()
        for number in 0..<200 {
            let event = Event(key: Array("a.b".utf8), payload: Array("payload \(number % 3)".utf8))
            try? events.append(event, eventBytesMax: eventBytesMax)
        }
        return Array(events.bytes)
    }()

    /// A delivery with the records compressed, and what it is without that.
    private func compressed(
        _ change: (inout DeliveryHeader.Compressed) -> Void = { _ in },
        block change2: (inout [UInt8]) -> Void = { _ in }
    ) throws -> (packed: [UInt8], plain: [UInt8]) {
        var header = DeliveryHeader(
            after: Position(1), upto: Position(201), head: Position(300), replay: true)
        let plain = encoded { header.encode(into: &$0) } + Self.records
        var block = try #require(LZ4.compress(ByteBlock(copying: Self.records))).bytes
        change2(&block)
        var sizes = DeliveryHeader.Compressed(bytes: block.count, eventsBytes: Self.records.count)
        change(&sizes)
        header.compressed = sizes
        let head = encoded { header.encode(into: &$0) }
        #expect(head.count == header.encodedBytes)
        #expect(head.count <= DeliveryHeader.encodedBytesMax)
        return (head + block, plain)
    }

    private func isRefused(_ bytes: [UInt8]) -> Bool {
        do {
            _ = try bytes.withUnsafeBytes { try Delivery.decode($0) }
            return false
        } catch {
            return (error as? Failure)?.code == .invalidArgument
        }
    }

    @Test func aCompressedDeliveryIsTheSameAsAPlainOne() throws {
        let (packed, plain) = try self.compressed()
        #expect(packed.count < plain.count / 4)
        #expect(try packed.withUnsafeBytes { try Delivery.decompressed($0) } == plain)
        #expect(try plain.withUnsafeBytes { try Delivery.decompressed($0) } == nil)
        let one = try packed.withUnsafeBytes { try Delivery.decode($0) }
        let other = try plain.withUnsafeBytes { try Delivery.decode($0) }
        #expect(one == other)
        // Who counts only must not count zero.
        #expect(throws: Failure.self) {
            try packed.withUnsafeBytes { try Delivery.summary($0) }
        }
    }

    @Test func whatDoesNotShrinkIsNotCompressed() {
        var random = SystemRandomNumberGenerator()
        for count in [0, 1, 100, 100_000] {
            let block = ByteBlock(
                copying: (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) })
            #expect(LZ4.compress(block) == nil)
        }
    }

    @Test func sizesThatLieAreRefused() throws {
        for eventsBytes in [
            1, Self.records.count - 1, Self.records.count + 1, 8 << 20, Int(Int32.max),
        ] {
            let (packed, _) = try self.compressed({
                $0 = .init(bytes: $0.bytes, eventsBytes: eventsBytes)
            })
            #expect(self.isRefused(packed), "\(eventsBytes)")
        }
    }

    @Test func blocksThatAreNoneAreRefused() throws {
        #expect(self.isRefused(try self.compressed(block: { $0.removeLast() }).packed))
        #expect(self.isRefused(try self.compressed(block: { $0.append(0) }).packed))
        #expect(self.isRefused(try self.compressed(block: { $0 = [] }).packed))
        let (packed, _) = try self.compressed()
        for count in 0..<packed.count {
            let cut = Array(packed[..<count])
            #expect(
                self.isRefused(cut)
                    || (try? cut.withUnsafeBytes { try Delivery.decode($0) })?.events.isEmpty
                        == true
            )
        }
    }
}
