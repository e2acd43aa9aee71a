/// A parameter of a statement.
public enum Value: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByNilLiteral
{
    case null
    case text(String)
    case integer(Int64)
    case bytes([UInt8])

    /// A text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// An integer.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// NULL.
    public init(nilLiteral: ()) { self = .null }

    /// A text, or NULL.
    public init(_ text: String?) { self = text.map { .text($0) } ?? .null }

    /// A position or a count; beyond 2^63 - 1 it is that.
    public init(_ number: UInt64) { self = .integer(Int64(clamping: number)) }

    /// A text[], which is what `= ANY($1)` wants.
    public init(_ texts: [String]) {
        let quoted = texts.map { text in
            "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        self = .text("{" + quoted.joined(separator: ",") + "}")
    }
}
