import Core

/// The parameters of a statement, in Postgres' binary format.
struct Parameters {
    private enum Value {
        case null
        case inline(Range<Int>)
        case block(ByteBlock)
    }

    /// Starts with one unused byte, so that an empty value has an address (none would mean null).
    private var bytes: [UInt8] = [0]
    private var values: [Value] = []

    init() {}

    mutating func add(_ value: Int64) {
        self.append { $0.appendBigEndian(value) }
    }

    mutating func add(_ position: Position) {
        self.add(Int64(clamping: position.rawValue))
    }

    mutating func add(_ time: Timestamp) {
        self.add(PostgresTime.encode(time))
    }

    mutating func add(_ text: String) {
        self.append { $0.append(contentsOf: text.utf8) }
    }

    mutating func add(_ raw: [UInt8]) {
        self.append { $0.append(contentsOf: raw) }
    }

    /// The block is not copied here; it lives as long as the parameters do.
    mutating func add(_ block: ByteBlock) {
        self.values.append(.block(block))
    }

    mutating func addNull() {
        self.values.append(.null)
    }

    mutating func add(_ text: String?) {
        if let text { self.add(text) } else { self.addNull() }
    }

    mutating func add(_ integers: some Collection<Int64>) {
        self.addArray(of: 20, count: integers.count) { bytes in
            for integer in integers {
                bytes.appendBigEndian(Int32(8))
                bytes.appendBigEndian(integer)
            }
        }
    }

    mutating func add(_ texts: some Collection<String?>) {
        self.addArray(of: 25, count: texts.count) { bytes in
            for text in texts {
                guard let text else {
                    bytes.appendBigEndian(Int32(-1))
                    continue
                }
                bytes.appendBigEndian(Int32(clamping: text.utf8.count))
                bytes.append(contentsOf: text.utf8)
            }
        }
    }

    /// The first `count` parameters, for a statement that takes no more.
    func prefix(_ count: Int) -> Parameters {
        var parameters = self
        parameters.values.removeLast(max(0, self.values.count - count))
        return parameters
    }

    /// Lends what libpq's functions take: count, values, lengths and formats (all binary).
    func withPointers<Result>(
        _ body: (
            Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?,
            UnsafePointer<Int32>?
        ) -> Result
    ) -> Result {
        self.bytes.withUnsafeBytes { base in
            var pointers: [UnsafePointer<CChar>?] = []
            var lengths: [Int32] = []
            for value in self.values {
                // A block's address stays where it is while `self` holds the block.
                let range: UnsafeRawBufferPointer? =
                    switch value {
                    case .null: nil
                    case .inline(let range): UnsafeRawBufferPointer(rebasing: base[range])
                    case .block(let block): block.withUnsafeBytes { $0 }
                    }
                pointers.append(range?.baseAddress?.assumingMemoryBound(to: CChar.self))
                lengths.append(Int32(clamping: range?.count ?? 0))
            }
            let formats = [Int32](repeating: 1, count: pointers.count)
            return withExtendedLifetime(self) {
                body(Int32(clamping: pointers.count), pointers, lengths, formats)
            }
        }
    }

    private mutating func append(_ write: (inout [UInt8]) -> Void) {
        let start = self.bytes.count
        write(&self.bytes)
        self.values.append(.inline(start..<self.bytes.count))
    }

    /// One-dimensional array with elements of the type with this OID. Source: array_send in
    /// PostgreSQL's arrayfuncs.c.
    private mutating func addArray(
        of type: Int32, count: Int, elements: (inout [UInt8]) -> Void
    ) {
        self.append { bytes in
            bytes.appendBigEndian(Int32(count == 0 ? 0 : 1))
            bytes.appendBigEndian(Int32(1))
            bytes.appendBigEndian(type)
            guard count > 0 else { return }
            bytes.appendBigEndian(Int32(clamping: count))
            bytes.appendBigEndian(Int32(1))
            elements(&bytes)
        }
    }
}

extension [UInt8] {
    fileprivate mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { self.append(contentsOf: $0) }
    }
}
