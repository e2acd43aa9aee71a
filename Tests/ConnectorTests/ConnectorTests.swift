import Connector
import Core
import Testing

@Suite struct ParkingTests {
    @Test func whatIsGoodStaysAsItIs() throws {
        let event = Event(key: Array("a.b".utf8), payload: [1, 2, 3])
        let fitted = Parking.fit(event, place: "x", eventBytesMax: 1_000)
        #expect(fitted.event == event && fitted.reason == nil)
    }

    /// Whatever is wrong, what is parked is accepted by the server, and says why it is there.
    @Test(arguments: [15_360, 1 << 20])
    func everythingElseIsParkedWithTheReason(eventBytesMax: Int) throws {
        let large = [UInt8](repeating: 7, count: 3 << 20)
        let name = [UInt8](repeating: 65, count: 300)
        var wrong = [
            Event(key: Array("no key".utf8), payload: [1]), Event(key: [], payload: [1]),
            Event(key: Array("a".utf8), payload: large),
            Event(key: Array("a".utf8), id: large), Event(key: Array("a".utf8), contentType: large),
            Event(key: large, payload: large),
        ]
        let header = Header(name: Array("h".utf8), value: Array("v".utf8))
        wrong.append(
            Event(key: Array("a".utf8), payload: [9], headers: Array(repeating: header, count: 65)))
        wrong.append(
            Event(
                key: Array("a".utf8),
                headers: [Header(name: name, value: []), Header(name: [], value: large)]))
        wrong.append(
            Event(
                key: Array("a".utf8),
                headers: Array(repeating: Header(name: [65], value: large), count: 3)))
        for event in wrong {
            let fitted = Parking.fit(event, place: "kafka.my topic", eventBytesMax: eventBytesMax)
            #expect(String(decoding: fitted.event.key, as: UTF8.self) == "error.kafka.my_topic")
            #expect(
                try EncodedEvents.checkedBytes(fitted.event, eventBytesMax: eventBytesMax)
                    == fitted.bytes)
            let reason = fitted.event.headers.first { $0.name == Array(Parking.reasonHeader.utf8) }
            #expect(reason.map { String(decoding: $0.value, as: UTF8.self) } == fitted.reason)
            #expect(fitted.reason != nil)
        }
    }

    @Test func keysAreMadeOfAnyText() {
        #expect(KeyText.words("a.b") == "a.b")
        #expect(KeyText.words("user:1/x y") == "user_1_x_y")
        #expect(KeyText.words("..a..b.") == "a.b")
        #expect(KeyText.words("") == "_" && KeyText.words(".") == "_")
        #expect(KeyText.words(String(repeating: "ä", count: 300)).utf8.count == 255)
        let cut = KeyText.words(String(repeating: "a", count: 254) + ".b")
        #expect(cut == String(repeating: "a", count: 254))
    }

    @Test func namesOfProducersAreAllowedAndTellPlacesApart() throws {
        #expect(producerName(["kafka", "orders", "3"]) == "kafka:orders:3")
        let long = String(repeating: "t", count: 240)
        let names = [
            producerName(["kafka", long, "1"]), producerName(["kafka", long, "2"]),
            producerName(["rabbitmq", "a b"]), producerName(["rabbitmq", "a_b", ""]),
        ]
        for name in names { _ = try Name(name) }
        #expect(Set(names).count == 4)
    }
}

@Suite struct SettingsTests {
    private static let flags = [
        Flag("server", "URI", ""), Flag("topic", "TOPIC", "", isRepeated: true),
        Flag("passive", nil, ""), Flag("prefetch", "N", ""), Flag("token-file", "FILE", ""),
    ]

    private func parse(_ arguments: String..., environment: [String: String] = [:]) throws
        -> Settings
    {
        try Settings(arguments: arguments, environment: environment, flags: Self.flags)
    }

    @Test func flagsStandBeforeTheEnvironment() throws {
        let settings = try self.parse(
            "--topic", "a", "--topic=b", "--passive",
            environment: [
                "DORMOUSE_TOPIC": "x y", "DORMOUSE_SERVER": "u", "DORMOUSE_PREFETCH": "7",
            ])
        #expect(settings.all("topic") == ["a", "b"] && settings.has("passive"))
        #expect(settings.text("server") == "u")
        #expect(try settings.number("prefetch", default: 1, in: 1...10) == 7)
        #expect(try self.parse(environment: ["DORMOUSE_TOPIC": "x y"]).all("topic") == ["x", "y"])
    }

    @Test func whatIsWrongIsSaid() throws {
        #expect(throws: Failure.self) { try self.parse("--nothing") }
        #expect(throws: Failure.self) { try self.parse("word") }
        #expect(throws: Failure.self) { try self.parse("--server") }
        #expect(throws: Failure.self) { try self.parse("--server", "a", "--server", "b") }
        let settings = try self.parse("--prefetch", "11", "--token-file", "/nowhere/at/all")
        #expect(throws: Failure.self) { try settings.number("prefetch", default: 1, in: 1...10) }
        #expect(throws: Failure.self) { try settings.required("server", "why") }
        #expect(throws: Failure.self) { try settings.secret("token-file") }
    }

    @Test func pausesGrowToALimitAndBeginAnew() {
        var backOff = BackOff()
        var last = 0
        for _ in 0..<5 {
            let pause = backOff.failed(random: 0)
            #expect(pause > last)
            last = pause
        }
        for _ in 0..<100 {
            #expect(backOff.failed(random: 0.999) <= BackOff.millisecondsMax)
        }
        backOff.succeeded()
        #expect(backOff.failed(random: 0) < 100)
    }
}
