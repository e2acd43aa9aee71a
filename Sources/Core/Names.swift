/// The name of an exchange, a subscriber or a producer: `[A-Za-z0-9._:-]{1,128}`, one alphabet for
/// all three.
package struct Name: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let text: String

    /// 128 bytes: long enough for `team.service.purpose@host:port` styles, short enough to print in
    /// a table.
    package static let bytesMax = 128

    package init(_ text: String, what: StaticString = "name") throws(Failure) {
        var text = text
        let problem = text.withUTF8 { Name.problem(in: UnsafeRawBufferPointer($0)) }
        if let problem { throw Name.failure(what, problem) }
        self.text = text
    }

    package init(bytes: some Collection<UInt8>, what: StaticString = "name") throws(Failure) {
        let array = Array(bytes)
        if let problem = array.withUnsafeBytes({ Name.problem(in: $0) }) {
            throw Name.failure(what, problem)
        }
        self.text = String(decoding: array, as: UTF8.self)
    }

    private init(trusted text: String) {
        self.text = text
    }

    /// The exchange that exists from the start, and that an empty name means.
    package static let main = Name(trusted: "main")

    package static func < (left: Name, right: Name) -> Bool { left.text < right.text }

    package var description: String { self.text }

    private static func failure(_ what: StaticString, _ problem: String) -> Failure {
        Failure(
            .invalidArgument,
            "the \(what) \(problem); expected 1 to \(Self.bytesMax) of A-Z a-z 0-9 . _ : -")
    }

    private static func problem(in bytes: UnsafeRawBufferPointer) -> String? {
        if bytes.isEmpty { return "is empty" }
        if bytes.count > Self.bytesMax { return "has \(bytes.count) bytes" }
        for (index, byte) in bytes.enumerated() where !Self.allows(byte) {
            return "has a byte \(byte) at place \(index)"
        }
        return nil
    }

    private static func allows(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: ":"), UInt8(ascii: "-"):
            true
        default:
            false
        }
    }
}
