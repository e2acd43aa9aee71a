import Core
import Wire

/// Somebody who should not be here: other protocols, garbage, silence, requests out of order. The
/// server must survive it and nobody else may notice.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
final class Stranger: SimulatedClient, @unchecked Sendable {
    override var turnMicroseconds: Int { 100_000 }

    override func calmDown() {
        super.calmDown()
        self.stop()
    }

    override func greet(_ connection: SimulatedConnection) {
        switch self.dice.below(6) {
        case 0: connection.write(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        case 1: connection.write([])
        case 2: connection.write(Preface.bytes)
        case 3: connection.write(Preface.bytes + self.dice.bytes(200))
        default: super.greet(connection)
        }
    }

    override func act() {
        var bytes: [UInt8] = []
        switch self.dice.below(5) {
        case 0:
            FrameHeader(length: 1 << 30, type: .request, stream: StreamID(rawValue: 9))
                .encode(into: &bytes)
        case 1: bytes = [0, 0, 0, 0, 0x55] + Array(repeating: 0, count: 7)
        case 2: FrameEncoder.append(.data, stream: StreamID(rawValue: 3), to: &bytes)
        case 3: FrameEncoder.append(.ping, to: &bytes) { $0 += Array(repeating: 1, count: 9) }
        default:
            FrameEncoder.append(.cancel, stream: StreamID(rawValue: 77), to: &bytes)
            bytes += [0, 0, 0, 2, 0xC0, 0, 0, 0, 0, 0, 0, 1, 5, 5]
        }
        self.connection?.write(bytes)
    }
}
