/// Distinct keys, each with a number: 0, 1, 2 … as they came. Looking one up allocates nothing and
/// costs a few nanoseconds.
///
/// A table with open addressing, at most half full. Its hash keeps no secret, so somebody who wishes to
/// can choose keys that share a place; a lookup then compares `keysMax` numbers, which is no more than
/// a comparison of two long keys.
package struct KeySet: Sendable {
    private let keysMax: Int
    /// Number of the key plus one; 0 where there is none. A power of two of them, or none yet: most
    /// filters sleep.
    private var slots: [UInt16] = []
    private var hashes: [UInt32] = []
    /// All keys in a row; each ends where the next one starts.
    private var bytes: [UInt8] = []
    private var ends: [UInt32] = []

    /// At most 65,534 keys.
    package init(keysMax: Int) {
        self.keysMax = keysMax
    }

    package var count: Int { self.hashes.count }

    package var keys: [[UInt8]] {
        self.hashes.indices.map { Array(self.bytes[self.range($0)]) }
    }

    package mutating func removeAll() {
        for index in self.slots.indices { self.slots[index] = 0 }
        self.hashes.removeAll(keepingCapacity: true)
        self.bytes.removeAll(keepingCapacity: true)
        self.ends.removeAll(keepingCapacity: true)
    }

    /// The key's number, which is `count` before the call when it is new; nil when it is new and
    /// there is no room.
    package mutating func number(of key: UnsafeRawBufferPointer) -> Int? {
        let hash = Self.hash(key)
        var place = 0
        if !self.slots.isEmpty {
            place = self.place(hash)
            while self.slots[place] != 0 {
                let number = Int(self.slots[place]) - 1
                if self.hashes[number] == hash, self.isEqual(number, key) { return number }
                place = self.place(after: place)
            }
        }
        guard self.count < self.keysMax else { return nil }
        self.bytes.append(contentsOf: key)
        self.ends.append(UInt32(self.bytes.count))
        self.hashes.append(hash)
        if 2 * self.count > self.slots.count {
            self.grow()
        } else {
            self.slots[place] = UInt16(self.count)
        }
        return self.count - 1
    }

    private func place(_ hash: UInt32) -> Int { Int(hash) & (self.slots.count - 1) }
    private func place(after place: Int) -> Int { (place + 1) & (self.slots.count - 1) }

    private mutating func grow() {
        self.slots = Array(repeating: 0, count: max(16, 2 * self.slots.count))
        for (number, hash) in self.hashes.enumerated() {
            var place = self.place(hash)
            while self.slots[place] != 0 { place = self.place(after: place) }
            self.slots[place] = UInt16(number + 1)
        }
    }

    private func range(_ number: Int) -> Range<Int> {
        (number == 0 ? 0 : Int(self.ends[number - 1]))..<Int(self.ends[number])
    }

    private func isEqual(_ number: Int, _ key: UnsafeRawBufferPointer) -> Bool {
        let range = self.range(number)
        guard range.count == key.count else { return false }
        return self.bytes.withUnsafeBytes {
            Self.isEqual(UnsafeRawBufferPointer(rebasing: $0[range]), key)
        }
    }

    /// Eight bytes at a time, the last ones again where the count is no multiple: there is no memcmp
    /// without a C library, and keys are short.
    private static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer)
        -> Bool
    {
        let count = left.count
        guard count >= 8 else { return left.elementsEqual(right) }
        var offset = 0
        while offset + 8 <= count {
            if Self.word(left, offset) != Self.word(right, offset) { return false }
            offset += 8
        }
        return Self.word(left, count - 8) == Self.word(right, count - 8)
    }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// Multiply and fold, eight bytes at a time; the multiplier is that of Knuth's multiplicative
    /// hashing, 2⁶⁴ divided by the golden ratio (The Art of Computer Programming 3, 6.4).
    private static func hash(_ key: UnsafeRawBufferPointer) -> UInt32 {
        var hash = UInt64(key.count)
        var offset = 0
        while offset + 8 <= key.count {
            hash = Self.mixed(hash ^ Self.word(key, offset))
            offset += 8
        }
        var last: UInt64 = 0
        if key.count >= 8 {
            last = Self.word(key, key.count - 8)
        } else {
            for byte in key { last = last << 8 | UInt64(byte) }
        }
        return UInt32(truncatingIfNeeded: Self.mixed(hash ^ last) >> 32)
    }

    private static func mixed(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }
}
