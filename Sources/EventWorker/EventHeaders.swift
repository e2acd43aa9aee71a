import DormouseClient

/// Headers as one value of a bytea column: for each a name and a value, each behind its length in 4 bytes,
/// big-endian.
enum EventHeaders {
    static func encode(_ headers: [Event.Header]) -> [UInt8] {
        var bytes: [UInt8] = []
        for part in headers.flatMap({ [Array($0.name.utf8), $0.value] }) {
            withUnsafeBytes(of: UInt32(clamping: part.count).bigEndian) { bytes += $0 }
            bytes += part
        }
        return bytes
    }

    /// Throws `unexpected` for anything that `encode` did not write.
    static func decode(_ bytes: [UInt8]) throws(WorkerError) -> [Event.Header] {
        var parts: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard rest.count >= 4 else { throw Self.damaged }
            let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= count else { throw Self.damaged }
            parts.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        guard parts.count.isMultiple(of: 2) else { throw Self.damaged }
        return stride(from: 0, to: parts.count, by: 2).map {
            Event.Header(name: String(decoding: parts[$0], as: UTF8.self), value: parts[$0 + 1])
        }
    }

    private static let damaged = WorkerError(
        .unexpected, "the headers of a stored event are damaged")
}
