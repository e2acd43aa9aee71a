import DormouseClient
import Testing

@testable import EventWorker

struct EventHeadersTests {
    @Test func theyComeBackAsTheyWere() throws {
        let headers = [
            Event.Header("traceparent", "00-1"), Event.Header(name: "", value: []),
            Event.Header(name: "ą", value: [0, 255]),
        ]
        #expect(try EventHeaders.decode(EventHeaders.encode(headers)) == headers)
        #expect(try EventHeaders.decode([]) == [])
    }

    @Test func anythingElseIsRefused() {
        let whole = EventHeaders.encode([Event.Header("a", "bc")])
        for count in 1..<whole.count {
            #expect(throws: WorkerError.self) {
                try EventHeaders.decode(Array(whole.prefix(count)))
            }
        }
        #expect(throws: WorkerError.self) { try EventHeaders.decode([255, 255, 255, 255, 1]) }
    }

    @Test func textsOfAnArrayMayHoldAnything() {
        #expect(Value(["a", "b\"c", "\\"]) == .text(#"{"a","b\"c","\\"}"#))
    }
}
