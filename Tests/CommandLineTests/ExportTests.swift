import Core
import DormouseClient
import Testing
import Wire

@testable import CommandLine

struct ExportTests {
    static let events: [DormouseClient.Event] = [
        DormouseClient.Event(key: "plain", "text"),
        DormouseClient.Event(key: "empty", payload: []),
        DormouseClient.Event(key: "bytes", payload: [0, 0xFF, 0x0A], id: [0xFE, 1]),
        DormouseClient.Event(
            key: "json", payload: Array(#"{"a": [1, 2]}"#.utf8), contentType: "application/json"),
        DormouseClient.Event(
            key: "json.lines", payload: Array("{\n\"a\":1}\n".utf8),
            contentType: "application/json"),
        DormouseClient.Event(
            key: "json.space", payload: Array(" 17".utf8), contentType: "application/json"),
        DormouseClient.Event(
            key: "json.string", payload: Array(#""x""#.utf8), contentType: "application/json"),
        DormouseClient.Event(
            key: "headers", payload: [0x78],
            headers: [.init("a", "1"), .init("a", ""), .init("b", "é")]),
        DormouseClient.Event(
            key: "mixed.headers", payload: [0x78],
            headers: [.init("a", "1"), .init("b", "2"), .init("a", "3")]),
        DormouseClient.Event(
            key: "header.bytes", payload: [],
            headers: [.init(name: "a", value: [0xFF]), .init("b", "{\"base64\":1}")]),
    ]

    /// What a publish makes of it: the same, without position and time.
    private func published(_ event: DormouseClient.Event) -> Core.Event {
        Core.Event(
            key: Array(event.key.utf8), payload: event.payload, id: event.id,
            contentType: Array(event.contentType.utf8),
            headers: event.headers.map {
                Core.Header(name: Array($0.name.utf8), value: $0.value)
            })
    }

    @Test(arguments: events)
    func nothingIsLostInJSON(event: DormouseClient.Event) throws {
        for hasPosition in [true, false] {
            var line: [UInt8] = []
            event.lend {
                EventText.appendJSON($0, isExact: true, hasPosition: hasPosition, to: &line)
            }
            #expect(!line.contains(0x0A))
            #expect(try EventLine.event(line) == self.published(event))
        }
    }

    /// An event in a file is the same message as in a publish.
    @Test(arguments: events)
    func nothingIsLostInProtobuf(event: DormouseClient.Event) throws {
        var file: [UInt8] = []
        event.lend { ProtobufEvents.append($0, hasPosition: false, to: &file) }
        let request = [4 << 3 | 2] + file
        let decoded = try request.withUnsafeBytes {
            try Request.decode(
                method: .publish, payload: $0, eventBytesMax: 1 << 20, arena: Arena())
        }
        guard case .publish(let publish) = decoded else { throw JSONProblem(text: "", offset: 0) }
        var expected = EncodedEvents()
        try expected.append(self.published(event), eventBytesMax: 1 << 20)
        #expect(publish.events == expected)

        var withPosition: [UInt8] = []
        event.lend { ProtobufEvents.append($0, hasPosition: true, to: &withPosition) }
        for file in [file, withPosition] {
            var offset = 0
            let message = file.withUnsafeBytes { bytes in
                Varint.readLength(bytes, at: &offset).map { Array(bytes[offset..<offset + $0]) }
            }
            #expect(message.flatMap { ProtobufEvents.event($0) } == self.published(event))
        }
    }

    @Test func whatIsNoMessageIsNoEvent() {
        for bytes: [UInt8] in [[0x1A], [0x1A, 5, 0x61], [0x09, 1], [0x0B], [0x3A, 2, 0x0A, 9]] {
            #expect(ProtobufEvents.event(bytes) == nil, "\(bytes)")
        }
        // Fields of later versions are passed over.
        #expect(ProtobufEvents.event([0x1A, 1, 0x61, 0xF8, 1, 7])?.key == [0x61])
    }

    @Test func aBarShowsHowMuchIsDoneAndHowLongItTakes() {
        #expect(
            Progress.bar(25, of: 100, events: 1000, 2)
                == "[#####---------------] 25 %  1,000 events  500/s  6s left")
        #expect(Progress.bar(7, of: nil, events: 1, 0) == "1 event  0/s")
        #expect(
            Progress.bar(100, of: 100, events: 3, 1)
                == "[####################] 100 %  3 events  3/s  0s left")
    }
}
