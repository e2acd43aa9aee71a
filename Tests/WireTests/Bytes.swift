import Core
import Wire

/// The bytes that `encode` appends.
func encoded(_ encode: (inout [UInt8]) -> Void) -> [UInt8] {
    var bytes: [UInt8] = []
    encode(&bytes)
    return bytes
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Large enough for every event in these tests.
let eventBytesMax = 1 << 20

func decodeRequest(_ method: Wire.Method, _ payload: [UInt8], arena: Arena = Arena()) throws
    -> Request
{
    try payload.withUnsafeBytes { payload in
        try Request.decode(
            method: method, payload: payload, eventBytesMax: eventBytesMax, arena: arena)
    }
}

func decodeReply(_ method: Wire.Method, _ payload: [UInt8], arena: Arena = Arena()) throws -> Reply
{
    try payload.withUnsafeBytes { payload in
        try Reply.decode(method: method, payload: payload, arena: arena)
    }
}

/// A frame as values.
struct Frame: Equatable {
    var header: FrameHeader
    var payload: [UInt8]

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        self.header.encode(into: &bytes)
        return bytes + self.payload
    }

    init(
        _ type: FrameType, flags: UInt8 = 0, code: UInt16 = 0, stream: UInt32 = 0,
        payload: [UInt8] = []
    ) {
        self.header = FrameHeader(
            length: UInt32(payload.count), type: type, flags: flags, code: code,
            stream: StreamID(rawValue: stream))
        self.payload = payload
    }

    init(header: FrameHeader, payload: UnsafeRawBufferPointer) {
        self.header = header
        self.payload = Array(payload)
    }
}

/// Random numbers that can be had again from their seed. Source: SplitMix64, Steele et al., 2014.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
