import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// What a subscriber is promised holds wherever events come from.
    @Suite(.serialized)
    struct OriginTests {
        @Test(arguments: Origin.installed)
        func aSubscriberSeesTheSameWhereverEventsComeFrom(origin: Origin) throws {
            let stage = try OriginStage(origin)
            defer { stage.destroy() }
            let all = Reader("all")
            let even = Reader("even", "number.even")
            // Two subscribers, one of them with a filter; the first confirms a part of what it got, and sleeps.
            try stage.emit(1...100)
            try all.read(100, of: stage, confirming: 60)
            try even.read(50, of: stage, confirming: 50)
            // It wakes where it was, and nothing is missing; what it had not confirmed comes again.
            try stage.emit(101...200)
            try all.read(200, of: stage, confirming: 200)
            // The server dies while events come.
            try stage.emit(201...250)
            try stage.killServer()
            try stage.emit(251...300)
            try all.read(300, of: stage, confirming: 300, afterKill: true)
            try even.read(150, of: stage, confirming: 150, afterKill: true)
            // Another one begins with the first event.
            let late = Reader("late")
            try late.read(300, of: stage, confirming: 300)
            for reader in [all, late] {
                #expect(reader.positions == Array(1...300), "without a hole")
                #expect(reader.numbers(remainder: 0) == Array(stride(from: 2, through: 300, by: 2)))
                #expect(reader.numbers(remainder: 1) == Array(stride(from: 1, through: 299, by: 2)))
            }
            #expect(even.numbers(remainder: 0) == all.numbers(remainder: 0))
            #expect(even.numbers(remainder: 1).isEmpty)
            #expect(all.seen == late.seen, "the same events at the same positions")
        }
    }
}

/// A subscriber that comes and goes. It remembers all that it got.
private final class Reader {
    private let name: String
    private let patterns: [String]
    private var confirmed: UInt64 = 0
    /// Numbers by position.
    private(set) var seen: [UInt64: Int] = [:]

    init(_ name: String, _ patterns: String...) {
        self.name = name
        self.patterns = patterns
    }

    var positions: [Int] { self.seen.keys.sorted().map { Int($0) } }

    /// Even or odd ones, in the order of the log.
    func numbers(remainder: Int) -> [Int] {
        self.seen.sorted { $0.key < $1.key }.map(\.value).filter { $0 % 2 == remainder }
    }

    /// Is awake until it has so many in all, and confirms so many of them. A server that was killed may have forgotten the
    /// newest confirmations.
    func read(
        _ count: Int, of stage: OriginStage, confirming: Int, afterKill: Bool = false
    ) throws {
        let client = try TestClient(stage.address, name: self.name)
        defer { client.close() }
        var request = client.subscribeRequest(self.name, self.patterns)
        request.start = .first
        let (stream, start) = try client.subscribe(request)
        #expect(
            start == self.confirmed || afterKill && start < self.confirmed,
            "\(self.name) goes on where it was")
        while self.seen.count < count {
            let delivery = try stage.explaining("'\(self.name)' has \(self.seen.count) of \(count)")
            {
                try client.delivery(on: stream, seconds: 60)
            }
            for event in delivery.events {
                let number = Int(event.text.trimmingCharacters(in: .newlines)) ?? -1
                let before = self.seen.updateValue(number, forKey: event.position.rawValue)
                #expect(before == nil || before == number)
                #expect(event.key.text == (number % 2 == 0 ? "number.even" : "number.odd"))
                #expect(
                    event.headers.contains { $0.name.text == "tenant" && $0.value.text == "acme" })
            }
        }
        let upto = self.seen.keys.sorted()[confirming - 1]
        _ = try client.acknowledge(upto, on: stream)
        self.confirmed = upto
    }
}
