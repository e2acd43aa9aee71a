internal import CLZ4
package import Core

/// Blocks of LZ4 (https://lz4.org), with nothing around them: what deliveries carry for clients with `Feature.lz4Deliveries`.
package enum LZ4 {
    /// nil when the block does not become smaller by an eighth: then it is not worth the work at the other end.
    package static func compress(_ block: ByteBlock) -> ByteBlock? {
        let room = block.count - block.count / 8
        guard room > 0, let count = Int32(exactly: block.count) else { return nil }
        let compressed = [UInt8](unsafeUninitializedCapacity: room) { target, used in
            let size = block.withUnsafeBytes { source in
                LZ4_compress_default(
                    source.baseAddress, target.baseAddress, count, Int32(target.count))
            }
            // Zero: there was not enough room.
            used = Int(max(0, size))
        }
        return compressed.isEmpty ? nil : ByteBlock(copying: compressed)
    }

    /// What was compressed, which must have `count` bytes; throws `invalidArgument` if it has not.
    package static func decompress(_ bytes: UnsafeRawBufferPointer, count: Int) throws(Failure)
        -> [UInt8]
    {
        guard let size = Int32(exactly: bytes.count), let capacity = Int32(exactly: count) else {
            throw Self.damaged
        }
        var isWhole = false
        let plain = [UInt8](unsafeUninitializedCapacity: count) { target, used in
            isWhole =
                LZ4_decompress_safe(bytes.baseAddress, target.baseAddress, size, capacity)
                == capacity
            used = isWhole ? count : 0
        }
        guard isWhole else { throw Self.damaged }
        return plain
    }

    private static var damaged: Failure {
        Failure(.invalidArgument, "the compressed events of a delivery are damaged")
    }
}
