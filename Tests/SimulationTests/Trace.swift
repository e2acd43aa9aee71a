/// What happened, as a number that two runs of one seed must share, and as text for people when a
/// seed is looked at.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
final class Trace: @unchecked Sendable {
    enum Kind: UInt64 {
        case world, server, store, network, request, reply, delivery, logger
    }

    let isText: Bool
    private(set) var lines: [String] = []
    private(set) var hash: UInt64 = 0xCBF2_9CE4_8422_2325

    init(isText: Bool) {
        self.isText = isText
    }

    /// `text` is evaluated only when somebody reads it; `first` and `second` say enough of it to
    /// tell two traces apart.
    func note(
        _ kind: Kind, at time: UInt64, _ first: UInt64, _ second: UInt64 = 0,
        _ text: @autoclosure () -> String
    ) {
        for number in [time, kind.rawValue, first, second] {
            // FNV-1a over words, with a rotation so that high bits count.
            self.hash = (self.hash ^ number) &* 0x0000_0100_0000_01B3
            self.hash = (self.hash << 29) | (self.hash >> 35)
        }
        if self.isText { self.lines.append("\(time) \(kind): \(text())") }
    }

    /// Text without a share in the hash.
    func remark(_ kind: Kind, at time: UInt64, _ text: @autoclosure () -> String) {
        if self.isText { self.lines.append("\(time) \(kind): \(text())") }
    }
}
