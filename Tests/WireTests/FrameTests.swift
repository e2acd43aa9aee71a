import Core
import Testing
import Wire

@Suite struct FrameTests {
    @Test func aHeaderIsTwelveBigEndianBytes() throws {
        let header = FrameHeader(
            length: 0x0102_0304, type: .end, flags: 0x81, code: 0x0506,
            stream: StreamID(rawValue: 0x0708_090A))
        let bytes = encoded { header.encode(into: &$0) }
        #expect(bytes == [1, 2, 3, 4, 4, 0x81, 5, 6, 7, 8, 9, 10])
        #expect(try bytes.withUnsafeBytes { try FrameHeader.decode($0) } == header)
    }

    @Test func everyTypeKeepsItsNumber() throws {
        for (index, type) in FrameType.allCases.enumerated() {
            #expect(Int(type.rawValue) == index + 1)
            let bytes = encoded { FrameHeader(length: 0, type: type).encode(into: &$0) }
            #expect(try bytes.withUnsafeBytes { try FrameHeader.decode($0) }.type == type)
        }
    }

    @Test func aHeaderOfAnUnknownTypeIsUnimplemented() {
        for rawType in [UInt8(0), 9, 127, 128, 255] {
            let bytes: [UInt8] = [0, 0, 0, 0, rawType, 0, 0, 0, 0, 0, 0, 0]
            let failure = #expect(throws: Failure.self) {
                try bytes.withUnsafeBytes { try FrameHeader.decode($0) }
            }
            #expect(failure?.code == .unimplemented)
        }
    }

    @Test func aHeaderOfElevenBytesIsAFailure() {
        let bytes = [UInt8](repeating: 0, count: 11)
        #expect(throws: Failure.self) {
            try bytes.withUnsafeBytes { try FrameHeader.decode($0) }
        }
    }

    @Test func theEncoderPatchesTheLengthOfEachFrame() throws {
        var bytes: [UInt8] = []
        FrameEncoder.append(.ping, to: &bytes) { $0 += [1, 2, 3] }
        FrameEncoder.append(.cancel, stream: StreamID(rawValue: 5), to: &bytes)
        FrameEncoder.append(
            .publish(PublishReply(firstPosition: 42, lastPosition: 44, duplicates: 130)),
            stream: StreamID(rawValue: 7), to: &bytes)
        let expected =
            Frame(.ping, payload: [1, 2, 3]).encoded + Frame(.cancel, stream: 5).encoded
            + (try Golden.read("frame-response"))
        #expect(bytes == expected)
    }

    @Test func aFailureTravelsWithItsCodeInTheHeader() throws {
        let bytes = encoded {
            FrameEncoder.append(
                Samples.failure, as: .end, stream: StreamID(rawValue: 9), to: &$0)
        }
        #expect(try bytes == Golden.read("frame-end"))
    }

    @Test func aRequestTravelsWithItsMethodInTheHeader() throws {
        let bytes = try encodedThrowing {
            FrameEncoder.append(
                try Samples.requests[5], flags: FrameHeader.noReplyFlag,
                stream: StreamID(rawValue: 0x0102_0304), to: &$0)
        }
        #expect(try bytes == Golden.read("frame-request"))
    }

    @Test func aDeliveryCountsTheRecordsThatFollowInItsLength() throws {
        let whole = try Golden.read("frame-data")
        let payload = Array(whole[12...])
        let summary = try payload.withUnsafeBytes { try Delivery.summary($0) }
        var bytes: [UInt8] = []
        FrameEncoder.append(
            Samples.delivery.header, eventsBytes: summary.records.count,
            stream: StreamID(rawValue: 9), to: &bytes)
        bytes += payload[summary.records]
        #expect(bytes == whole)
    }

    @Test func everyMethodKeepsItsNumberAndName() {
        let numbers: [UInt16] = [
            1, 10, 11, 20, 21, 22, 23, 24, 30, 31, 32, 33, 40, 41, 42, 43, 44, 45, 50, 51, 52, 53,
            54, 60, 61,
        ]
        #expect(Wire.Method.allCases.map(\.rawValue) == numbers)
        #expect(Set(Wire.Method.allCases.map(\.name)).count == numbers.count)
    }
}

func encodedThrowing(_ encode: (inout [UInt8]) throws -> Void) rethrows -> [UInt8] {
    var bytes: [UInt8] = []
    try encode(&bytes)
    return bytes
}
