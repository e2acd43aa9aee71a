import Core
import Testing
import Wire

@Suite struct DeliveryTests {
    @Test func theHeadersSizeIsWhatItEncodes() throws {
        for bits in 0..<32 {
            let header = DeliveryHeader(
                after: Position(bits & 1 == 0 ? 0 : 1), upto: Position(bits & 2 == 0 ? 0 : .max),
                head: Position(bits & 4 == 0 ? 0 : 300), replay: bits & 8 != 0,
                redelivered: bits & 16 != 0)
            let bytes = encoded { header.encode(into: &$0) }
            #expect(bytes.count == header.encodedBytes)
            #expect(bytes.count <= DeliveryHeader.encodedBytesMax)
            let decoded = try bytes.withUnsafeBytes { try Delivery.decode($0) }
            #expect(decoded == Delivery(header: header))
        }
    }

    @Test func recordsOfTheLogFollowAHeaderAsTheyAre() throws {
        var events = EncodedEvents()
        for event in Samples.events { try events.append(event, eventBytesMax: eventBytesMax) }
        let header = DeliveryHeader(after: Position(1), upto: Position(4), head: Position(9))
        let bytes = encoded { header.encode(into: &$0) } + events.bytes
        let delivery = try bytes.withUnsafeBytes { try Delivery.decode($0) }
        #expect(delivery == Delivery(header: header, events: Samples.events))
    }

    @Test func aSummaryCountsWithoutDecoding() throws {
        let bytes = encoded { Samples.delivery.encode(into: &$0) }
        let summary = try bytes.withUnsafeBytes { try Delivery.summary($0) }
        #expect(summary.header == Samples.delivery.header)
        #expect(summary.eventsCount == 3)
        #expect(summary.records == Samples.delivery.header.encodedBytes..<bytes.count)
        let none = try ([] as [UInt8]).withUnsafeBytes { try Delivery.summary($0) }
        #expect(none.eventsCount == 0)
        #expect(none.records.isEmpty)
    }

    @Test func aDeliveryCutAnywhereIsRefusedOrShorter() throws {
        let whole = encoded { Samples.delivery.encode(into: &$0) }
        for count in 0..<whole.count {
            do {
                let part = try whole[..<count].withUnsafeBytes { try Delivery.decode($0) }
                #expect(part != Samples.delivery)
            } catch {
                #expect((error as? Failure)?.code == .invalidArgument)
            }
        }
    }

    @Test func lengthsBeyondTheEndAreRefused() {
        let payloads: [[UInt8]] = [
            [0x7A, 1], [0x7A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
            [0x7A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
            [0x7A, 2, 0x1A, 9], [0x09, 1, 2], [0x15, 1], [0x80], [0x00, 0x00], [0x0B], [0x0C],
        ]
        for payload in payloads {
            let failure = #expect(throws: Failure.self) {
                try payload.withUnsafeBytes { try Delivery.decode($0) }
            }
            #expect(failure?.code == .invalidArgument)
        }
    }
}

@Suite struct FailureMessageTests {
    private func decode(_ code: UInt16, _ payload: [UInt8]) -> Failure {
        payload.withUnsafeBytes {
            FailureMessage.decode(code: code, payload: $0, arena: Arena())
        }
    }

    @Test func everyStatusComesBack() {
        for code in StatusCode.allCases where code != .ok {
            var failure = Samples.failure
            failure.code = code
            let payload = encoded { FailureMessage.encode(failure, into: &$0) }
            #expect(self.decode(code.rawValue, payload) == failure)
        }
    }

    @Test func whatALibrarySaidIsNotSent() {
        let failure = Failure(.internal, "a", underlying: "select secret")
        let payload = encoded { FailureMessage.encode(failure, into: &$0) }
        #expect(payload == encoded { FailureMessage.encode(Failure(.internal, "a"), into: &$0) })
    }

    @Test func anUnknownStatusAndUnreadablePayloadsAreStillAFailure() {
        #expect(self.decode(9999, []).code == .internal)
        #expect(self.decode(9999, []).underlying.contains("9999"))
        #expect(self.decode(0, []).code == .internal)
        #expect(self.decode(14, [0xFF]).code == .unavailable)
        #expect(self.decode(14, [0x0A, 2, 0xFF, 0x41]).message.hasSuffix("A"))
    }
}
