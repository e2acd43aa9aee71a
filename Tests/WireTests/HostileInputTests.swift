import Core
import Foundation
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What a peer may send to hurt: none of it may trap, or take more memory than the budget.
@Suite struct HostileInputTests {
    private func budget(_ payload: [UInt8]) -> Int { 8 * payload.count + (64 << 10) }

    private func allocationsMax(_ payload: [UInt8]) -> Int { 1_000 + payload.count / 16 }

    private func expectRefused(_ method: Wire.Method, _ payload: [UInt8]) {
        let arena = Arena()
        let failure = #expect(throws: Failure.self) {
            try decodeRequest(method, payload, arena: arena)
        }
        #expect(failure?.code == .invalidArgument)
        #expect(failure?.message.contains("too many small or repeated parts") == true)
        #expect(arena.spentBytes <= self.budget(payload))
        #expect(arena.allocations <= self.allocationsMax(payload))
        // The arena serves the next request as if nothing had been.
        #expect(throws: Never.self) { try decodeRequest(.server, [], arena: arena) }
    }

    @Test func aMebibyteOfUnknownFieldsIsRefusedWithinTheBudget() {
        // Field 15 as a varint: unknown to every request.
        let payload = Array(repeatElement([0x78, 0x01] as [UInt8], count: 1 << 19).joined())
        for method in Wire.Method.allCases where method != .publish {
            self.expectRefused(method, payload)
        }
        // Read field by field, a publish skips them and makes nothing of them.
        let publish = try? decodeRequest(.publish, payload, arena: Arena())
        #expect(publish == .publish(PublishRequest()))
    }

    @Test func repeatedSubmessagesThatMergeAreRefusedWithinTheBudget() {
        // protobuf-c merges each `config` into the one before by copying its list of patterns:
        // quadratic without a budget.
        let patterns = Array(repeatElement([0x12, 1, 0x61] as [UInt8], count: 40).joined())
        let config: [UInt8] = [0x12, UInt8(patterns.count)] + patterns
        let payload = Array(repeatElement(config, count: 8000).joined())
        self.expectRefused(.subscribe, payload)
    }

    /// A sanitizer makes everything some ten times slower; `make` says when there is one.
    private let slowness: UInt64 = getenv("DORMOUSE_SANITIZED") == nil ? 1 : 20

    /// What the research found to take 9.4 s and 56 times the memory where nothing bounds it. Processor time, which
    /// other load on the machine does not change; the best of three, for what the machine does besides.
    @Test func theWorstFramesTakeTenMillisecondsAndEightTimesTheirSize() {
        let pattern: [UInt8] = [0x12, 1, 0x61]
        let config: [UInt8] = [0x12, 3] + pattern
        let text: [UInt8] = [0x0A, 8] + Array("textetxt".utf8)
        let frames: [(Wire.Method, [UInt8])] = [
            // Unknown fields of two bytes, each of which protobuf-c keeps.
            (.subscribe, Array(repeatElement([0x78, 0x01] as [UInt8], count: 1 << 19).joined())),
            // Empty elements of a repeated message.
            (
                .subscribe,
                [0x12, 0x80, 0x80, 0x20]
                    + Array(repeatElement([0x1A, 0] as [UInt8], count: 1 << 18).joined())
            ),
            // The same singular message again and again, which is merged with all before it.
            (.subscribe, Array(repeatElement(config, count: (1 << 20) / config.count).joined())),
            // The same text again and again, in the place of the one before: little memory, many pieces.
            (
                .subscribe,
                Array(repeatElement(text, count: (1 << 20) / text.count).joined())
            ),
            // Messages within messages: no type of ours is recursive, so this is an unknown field.
            (.subscribe, [UInt8](repeating: 0x12, count: 1 << 20)),
            // Groups that begin and never end.
            (.subscribe, [UInt8](repeating: 0x0B, count: 1 << 20)),
            (.publish, [UInt8](repeating: 0x0B, count: 1 << 20)),
            (.publish, [UInt8](repeating: 0x22, count: 1 << 20)),
        ]
        for (number, (method, payload)) in frames.enumerated() {
            var best = UInt64.max
            for _ in 1...3 {
                let arena = Arena()
                let began = processorNanoseconds()
                #expect(throws: Failure.self, "frame \(number)") {
                    try decodeRequest(method, payload, arena: arena)
                }
                best = min(best, processorNanoseconds() - began)
                #expect(arena.spentBytes <= self.budget(payload), "frame \(number)")
                #expect(arena.allocations <= self.allocationsMax(payload), "frame \(number)")
            }
            #expect(best < 10_000_000 * self.slowness, "frame \(number) took \(best) ns")
        }
    }

    /// Messages within messages, each with its right length. No type of ours holds itself, so all but the outermost are bytes to
    /// protobuf-c, in whatever field they are; the level of our deepest message is far below the stack.
    @Test(arguments: [0x12, 0x1A, 0x22, 0x7A] as [UInt8])
    func messagesWithinMessagesCostNothing(field: UInt8) {
        var payload: [UInt8] = []
        var left = 1 << 20
        while left > 16 {
            // Four bytes of length, whatever it is: a varint may be longer than it must.
            let inside = left - 5
            let length = (0..<4).map { UInt8(inside >> (7 * $0) & 0x7F) | ($0 < 3 ? 0x80 : 0) }
            payload += [field] + length
            left = inside
        }
        payload += [UInt8](repeating: 0, count: left)
        for method in Wire.Method.allCases {
            let arena = Arena()
            let began = processorNanoseconds()
            _ = try? decodeRequest(method, payload, arena: arena)
            let took = processorNanoseconds() - began
            #expect(arena.spentBytes <= self.budget(payload), "\(method)")
            #expect(arena.allocations <= 64, "\(method)")
            #expect(took < 10_000_000 * self.slowness, "\(method) took \(took) ns")
        }
    }

    /// What the depth of the stack rests on.
    @Test func noMessageHoldsItselfAndNoneIsDeep() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("proto/dormouse.proto").path
        let text = try String(contentsOfFile: path, encoding: .utf8)
        var parts: [String: Set<String>] = [:]
        var current = ""
        for line in text.split(separator: "\n") where !line.hasPrefix("//") {
            if let match = line.firstMatch(of: /^message (\w+)/) {
                current = String(match.output.1)
                parts[current] = []
            }
            for match in line.matches(of: /(\w+) \w+ = \d+/) {
                parts[current]?.insert(String(match.output.1))
            }
        }
        #expect(parts.count > 50)
        func depth(_ name: String, _ above: Set<String>) -> Int {
            guard !above.contains(name) else {
                Issue.record("\(name) holds itself")
                return 0
            }
            let inside = (parts[name] ?? []).intersection(parts.keys)
            return 1 + (inside.map { depth($0, above.union([name])) }.max() ?? 0)
        }
        for name in parts.keys.sorted() { #expect(depth(name, []) <= 16, "\(name)") }
    }

    @Test func emptyEventsAndHeadersAreRefusedAtTheFirst() {
        let events = Array(repeatElement([0x22, 0] as [UInt8], count: 1 << 19).joined())
        #expect(self.refusal(events).contains("event key is empty"))
        let headers = Array(repeatElement([0x3A, 0] as [UInt8], count: 1 << 18).joined())
        let event: [UInt8] = [0x1A, 1, 0x61] + headers
        let payload: [UInt8] = [0x22, 0x83, 0x80, 0x20] + event
        #expect(self.refusal(payload).contains("an event has 65 headers"))
    }

    /// The smallest events there are become five times as large, which is the most that a publish
    /// can grow.
    @Test func aFrameOfTheSmallestEventsIsAccepted() throws {
        let event: [UInt8] = [0x22, 3, 0x1A, 1, 0x61]
        let payload = Array(repeatElement(event, count: (1 << 20) / event.count).joined())
        guard case .publish(let publish) = try decodeRequest(.publish, payload, arena: Arena())
        else {
            Issue.record("not a publish")
            return
        }
        #expect(publish.events.count == (1 << 20) / 5)
        #expect(publish.events.bytes.count < 5 * payload.count)
    }

    private func refusal(_ payload: [UInt8]) -> String {
        do {
            let request = try decodeRequest(.publish, payload, arena: Arena())
            guard case .publish(let publish) = request else { return "not a publish" }
            return publish.failure?.message ?? "accepted"
        } catch let failure as Failure {
            return failure.message
        } catch {
            return "\(error)"
        }
    }

    @Test func emptyElementsStayWithinTheBudget() {
        let payload = Array(repeatElement([0x12, 0] as [UInt8], count: 1 << 16).joined())
        let arena = Arena()
        _ = try? decodeRequest(
            .subscribe, [0x12, 0x80, 0x80, 0x08] + payload, arena: arena)
        #expect(arena.spentBytes <= self.budget(payload))
    }

    @Test func packedNumbersStayWithinTheBudget() throws {
        let count = 1 << 20
        let payload: [UInt8] = [0x2A, 0x80, 0x80, 0x40] + [UInt8](repeating: 1, count: count)
        let arena = Arena()
        guard case .hello(let hello) = try decodeRequest(.hello, payload, arena: arena) else {
            Issue.record("not a hello")
            return
        }
        #expect(hello.features.count == count)
        #expect(arena.spentBytes <= self.budget(payload))
    }

    @Test func garbageForEveryMethodNeverTraps() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("garbageForEveryMethodNeverTraps: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let arena = Arena()
        for method in Wire.Method.allCases {
            for _ in 0..<3000 {
                let count = Int.random(in: 0...80, using: &random)
                let payload = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                self.decodeEverything(method, payload, arena: arena, seed: seed)
            }
        }
    }

    @Test func goodBytesWithAFewChangedNeverTrap() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("goodBytesWithAFewChangedNeverTrap: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let arena = Arena()
        let requests = try Samples.requests.map { request in
            (request.method, encoded { request.encode(into: &$0) })
        }
        let replies = Samples.replies.map { method, reply in
            (method, encoded { reply.encode(into: &$0) })
        }
        for (method, good) in requests + replies where !good.isEmpty {
            for _ in 0..<1000 {
                var payload = good
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let index = payload.indices.randomElement(using: &random) ?? 0
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: payload[index] = UInt8.random(in: 0...255, using: &random)
                    case 1: payload.insert(0xFF, at: index)
                    default: payload.removeSubrange(index...)
                    }
                    if payload.isEmpty { break }
                }
                self.decodeEverything(method, payload, arena: arena, seed: seed)
            }
        }
    }

    /// As a request, a reply, a delivery and a failure; each may succeed or throw a `Failure`.
    private func decodeEverything(
        _ method: Wire.Method, _ payload: [UInt8], arena: Arena, seed: UInt64
    ) {
        do {
            _ = try decodeRequest(method, payload, arena: arena)
        } catch {
            #expect((error as? Failure)?.code == .invalidArgument, "seed \(seed)")
        }
        do {
            _ = try decodeReply(method, payload, arena: arena)
        } catch {
            #expect((error as? Failure)?.code == .invalidArgument, "seed \(seed)")
        }
        do {
            _ = try payload.withUnsafeBytes { try Delivery.summary($0) }
        } catch {
            #expect((error as? Failure)?.code == .invalidArgument, "seed \(seed)")
        }
        _ = payload.withUnsafeBytes {
            FailureMessage.decode(code: method.rawValue, payload: $0, arena: arena)
        }
    }
}

/// Processor time of the calling thread.
private func processorNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
