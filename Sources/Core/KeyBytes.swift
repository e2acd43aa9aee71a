internal import Glibc

extension UnsafeRawBufferPointer {
    /// Whether the bytes are the same.
    func isEqual(to other: [UInt8]) -> Bool {
        other.withUnsafeBytes { other in
            guard self.count == other.count, let bytes = self.baseAddress,
                let others = other.baseAddress
            else { return self.count == other.count }
            return memcmp(bytes, others, self.count) == 0
        }
    }

    /// For small tables whose searches end in any case: quick, and not safe against chosen collisions. FNV-1a over
    /// words of eight bytes.
    var quickHash: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var offset = 0
        while offset + 8 <= self.count {
            hash =
                (hash ^ self.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                &* 0x100_0000_01B3
            offset += 8
        }
        while offset < self.count {
            hash = (hash ^ UInt64(self[offset])) &* 0x100_0000_01B3
            offset += 1
        }
        return hash ^ (hash >> 32)
    }
}
