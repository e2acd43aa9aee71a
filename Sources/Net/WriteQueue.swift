import Core
import CLibUV

/// Bytes on their way into a socket, in order: references to blocks, and copies of small things in
/// buffers between them.
struct WriteQueue {
    /// Buffers of one writev. Source: IOV_MAX of Linux and macOS.
    static let buffersMax = 1024
    /// Below this a copy costs less than one more buffer of a writev.
    static let copyBytesMax = 512

    private struct Segment {
        /// Keeps `base` alive; nil when the kernel has it all.
        var owner: AnyObject?
        var base: UnsafeRawPointer
        var count: Int
    }

    private var segments: [Segment] = []
    private var head = 0
    /// Where copies go. Headers between blocks share one buffer.
    private var copies: CopyBuffer?
    /// Whether the last segment ends where the next copy begins.
    private var lastIsCopy = false
    private(set) var bytes = 0

    var isEmpty: Bool { self.bytes == 0 }

    mutating func append(copying bytes: UnsafeRawBufferPointer, spare: inout SpareBuffers) {
        self.bytes += bytes.count
        spare.queuedBytes += bytes.count
        var rest = bytes
        while !rest.isEmpty {
            let buffer: CopyBuffer
            if let last = self.copies, !last.isFull {
                buffer = last
            } else if rest.count > CopyBuffer.capacity {
                self.append(ByteBlock(copying: rest), 0..<rest.count)
                return
            } else {
                buffer = spare.take()
                self.copies = buffer
                self.lastIsCopy = false
            }
            if !self.lastIsCopy {
                self.segments.append(Segment(owner: buffer, base: buffer.end, count: 0))
                self.lastIsCopy = true
            }
            let taken = buffer.append(rest)
            self.segments[self.segments.count - 1].count += taken
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(taken))
        }
    }

    mutating func append(
        _ block: ByteBlock, _ range: Range<Int>, spare: inout SpareBuffers
    ) {
        // A small part must not keep a large block alive: that would be memory which nobody counts.
        guard range.count >= Self.copyBytesMax, range.count * 8 >= block.count else {
            block.withUnsafeBytes { bytes in
                self.append(copying: UnsafeRawBufferPointer(rebasing: bytes[range]), spare: &spare)
            }
            return
        }
        self.bytes += range.count
        spare.queuedBytes += range.count
        self.append(block, range)
    }

    private mutating func append(_ block: ByteBlock, _ range: Range<Int>) {
        self.lastIsCopy = false
        block.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            self.segments.append(
                Segment(owner: block, base: base + range.lowerBound, count: range.count))
        }
    }

    /// Writes the first buffers, of `bytesMax` bytes at most, into `target`. They are valid until
    /// they are removed.
    func peek(
        into target: UnsafeMutablePointer<uv_buf_t>, bytesMax: Int
    ) -> (buffers: Int, bytes: Int) {
        var buffers = 0
        var bytes = 0
        while buffers < Self.buffersMax && bytes < bytesMax
            && self.head + buffers < self.segments.count
        {
            let segment = self.segments[self.head + buffers]
            let count = min(segment.count, bytesMax - bytes)
            // libuv only reads what it writes to a socket; its type cannot say so.
            let base = UnsafeMutableRawPointer(mutating: segment.base)
            (target + buffers).initialize(
                to: uv_buf_t(base: base.assumingMemoryBound(to: CChar.self), len: count))
            buffers += 1
            bytes += count
        }
        return (buffers, bytes)
    }

    /// Forgets the first `count` bytes and lets go of blocks that are done.
    mutating func remove(_ count: Int, spare: inout SpareBuffers) {
        self.bytes -= count
        spare.queuedBytes -= count
        guard self.bytes > 0 else {
            self.removeAll(spare: &spare)
            return
        }
        var left = count
        while left > 0 {
            let taken = min(left, self.segments[self.head].count)
            self.segments[self.head].count -= taken
            self.segments[self.head].base += taken
            left -= taken
            if self.segments[self.head].count == 0 {
                self.segments[self.head].owner = nil
                self.head += 1
            }
        }
        if self.head >= 64 && self.head * 2 >= self.segments.count {
            self.segments.removeFirst(self.head)
            self.head = 0
        }
    }

    /// An empty queue holds next to nothing: most connections are idle.
    mutating func removeAll(spare: inout SpareBuffers) {
        spare.queuedBytes -= self.bytes
        self.bytes = 0
        self.head = 0
        self.lastIsCopy = false
        self.segments.removeAll(keepingCapacity: self.segments.capacity <= 16)
        if let copies = self.copies.take() {
            spare.give(copies)
        }
    }
}

/// Memory for copies; what is in it does not move.
final class CopyBuffer {
    /// A page: several replies fit, and thousands of stuck connections may have one each.
    static let capacity = 4096
    private let memory = UnsafeMutableRawPointer.allocate(
        byteCount: CopyBuffer.capacity, alignment: 16)
    private var count = 0

    deinit { self.memory.deallocate() }

    var isFull: Bool { self.count == Self.capacity }
    var end: UnsafeRawPointer { UnsafeRawPointer(self.memory + self.count) }

    /// Copies as much as fits and says how much that is.
    func append(_ bytes: UnsafeRawBufferPointer) -> Int {
        let taken = min(bytes.count, Self.capacity - self.count)
        guard taken > 0, let base = bytes.baseAddress else { return 0 }
        (self.memory + self.count).copyMemory(from: base, byteCount: taken)
        self.count += taken
        return taken
    }

    func reset() { self.count = 0 }
}

/// What the write queues of one loop share: copy buffers that none of them uses, and a count.
struct SpareBuffers {
    /// Bytes in all of them.
    fileprivate(set) var queuedBytes = 0

    /// 256 KiB: more connections than this seldom write in the same moment.
    private static let buffersMax = 64
    private var buffers: [CopyBuffer] = []

    mutating func take() -> CopyBuffer { self.buffers.popLast() ?? CopyBuffer() }

    /// `buffer` must have no other owner.
    mutating func give(_ buffer: consuming CopyBuffer) {
        guard self.buffers.count < Self.buffersMax, isKnownUniquelyReferenced(&buffer) else {
            return
        }
        buffer.reset()
        self.buffers.append(buffer)
    }
}
