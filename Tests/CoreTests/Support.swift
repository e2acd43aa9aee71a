@testable import Core

/// A generator with a seed, so that a random run can be repeated: SplitMix64 (Steele, Lea, Flood
/// 2014).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

func name(_ text: String) throws -> Name { try Name(text) }

func at(_ milliseconds: Int) -> Instant {
    Instant(rawValue: 0).advanced(byMilliseconds: milliseconds)
}

func ticket(_ stream: UInt32) -> Ticket {
    Ticket(connection: ConnectionID(rawValue: 1), stream: StreamID(rawValue: stream))
}

/// Events with these payloads and the key "k".
func encoded(_ payloads: String...) throws -> EncodedEvents {
    try encoded(payloads.map { Event(key: bytes("k"), payload: bytes($0)) })
}

func encoded(_ events: [Event]) throws -> EncodedEvents {
    var all = EncodedEvents()
    for event in events { try all.append(event, eventBytesMax: 1 << 20) }
    return all
}

/// One chunk with these events, from `first` on.
func chunk(_ events: [Event], first: UInt64 = 1, time: UInt64 = 7) throws -> Chunk {
    var builder = ChunkBuilder(after: Position(first - 1), chunkBytesMax: 1 << 20)
    builder.append(try encoded(events), skipping: 0, at: Timestamp(rawValue: time))
    return builder.finish()[0]
}

func chunk(keys: [String], first: UInt64 = 1) throws -> Chunk {
    try chunk(keys.map { Event(key: bytes($0)) }, first: first)
}

/// A decoder of its own, which knows protobuf's wire format and not our offsets.
struct Decoder {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { self.rest = bytes[...] }

    private mutating func varint() -> Int {
        var value = 0
        var shift = 0
        while let byte = self.rest.popFirst() {
            value |= Int(byte & 0x7F) << shift
            if byte < 0x80 { break }
            shift += 7
        }
        return value
    }

    private mutating func fixed64() -> UInt64 {
        var value: UInt64 = 0
        for shift in 0..<8 { value |= UInt64(self.rest.popFirst() ?? 0) << UInt64(8 * shift) }
        return value
    }

    private mutating func counted() -> [UInt8] {
        let count = self.varint()
        let value = Array(self.rest.prefix(count))
        self.rest = self.rest.dropFirst(count)
        return value
    }

    static func events(_ bytes: [UInt8]) -> [Event] {
        var decoder = Decoder(bytes)
        var events: [Event] = []
        while decoder.rest.popFirst() == 0x7A { events.append(Self.event(decoder.counted())) }
        return events
    }

    private static func event(_ bytes: [UInt8]) -> Event {
        var decoder = Decoder(bytes)
        var event = Event(key: [])
        while let tag = decoder.rest.popFirst() {
            switch tag {
            case 0x09: event.position = Position(decoder.fixed64())
            case 0x11: event.publishedAt = Timestamp(rawValue: decoder.fixed64())
            case 0x1A: event.key = decoder.counted()
            case 0x22: event.payload = decoder.counted()
            case 0x2A: event.id = decoder.counted()
            case 0x32: event.contentType = decoder.counted()
            case 0x3A: event.headers.append(Self.header(decoder.counted()))
            default: return event
            }
        }
        return event
    }

    private static func header(_ bytes: [UInt8]) -> Header {
        var decoder = Decoder(bytes)
        var header = Header(name: [], value: [])
        while let tag = decoder.rest.popFirst() {
            if tag == 0x0A {
                header.name = decoder.counted()
            } else {
                header.value = decoder.counted()
            }
        }
        return header
    }
}

extension Chunk {
    var events: [Event] { Decoder.events(self.block.bytes) }
    var payloads: [String] { self.events.map { text($0.payload) } }
}

/// The failure that `body` throws; nil when it throws none.
func failure(of body: () throws -> Void) -> Failure? {
    do {
        try body()
        return nil
    } catch {
        return error as? Failure
    }
}
