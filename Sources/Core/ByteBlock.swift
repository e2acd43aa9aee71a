/// An immutable block of memory that may be shared by many readers: a chunk in the tail, a page
/// from the log, and every subscriber's socket write point to the same block. Its address does not
/// change while it is alive.
///
/// `@unchecked Sendable`: the memory is written before the initialiser returns and never after.
package final class ByteBlock: @unchecked Sendable {
    private let base: UnsafeRawBufferPointer
    private let release: (@Sendable () -> Void)?

    package var count: Int { self.base.count }

    /// Copies `bytes`.
    package init(copying bytes: UnsafeRawBufferPointer) {
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, bytes.count), alignment: 8)
        memory.copyMemory(from: bytes)
        self.base = UnsafeRawBufferPointer(start: memory.baseAddress, count: bytes.count)
        self.release = nil
    }

    package convenience init(copying bytes: [UInt8]) {
        self.init(copying: bytes.span)
    }

    private convenience init(copying span: Span<UInt8>) {
        self.init(count: span.count) { target in
            span.withUnsafeBytes { target.copyMemory(from: $0) }
        }
    }

    /// Allocates `count` bytes and lets `fill` write every one of them.
    package init(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count), alignment: 8)
        let used = UnsafeMutableRawBufferPointer(start: memory.baseAddress, count: count)
        fill(used)
        self.base = UnsafeRawBufferPointer(used)
        self.release = nil
    }

    /// Takes memory that belongs to somebody else (a PGresult, say); `release` is called once, when
    /// the last reader is done.
    package init(adopting bytes: UnsafeRawBufferPointer, release: @escaping @Sendable () -> Void) {
        self.base = bytes
        self.release = release
    }

    deinit {
        if let release = self.release {
            release()
        } else {
            self.base.deallocate()
        }
    }

    /// Lends the bytes. Whoever keeps the address must keep the block alive as long (socket writes
    /// do).
    package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
        -> Result
    {
        try body(self.base)
    }

    package var bytes: [UInt8] { [UInt8](self.base) }
}
