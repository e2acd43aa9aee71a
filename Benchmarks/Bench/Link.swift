import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Reads what a system sends back and counts it.
protocol Answers {
    /// Publishes answered.
    var answered: Int { get }
    /// Events delivered.
    var delivered: Int { get }
    /// Bytes that must be sent now: pongs, credit, flow control. The link takes them away.
    var reply: [UInt8] { get set }

    /// Takes whole messages and returns how many bytes they had. Throws when one reports a failure.
    mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> Int
}

/// A TCP connection on this machine. Blocking and cheap: the load must cost little beside what is
/// measured.
final class Link {
    let descriptor: Int32
    private var buffer: UnsafeMutableRawBufferPointer
    private var filled = 0

    init(port: UInt16, bufferBytes: Int = 256 << 10) throws(Failure) {
        self.descriptor = try Self.connect(port)
        self.buffer = .allocate(byteCount: bufferBytes, alignment: 16)
    }

    deinit {
        close(self.descriptor)
        self.buffer.deallocate()
    }

    static func connect(_ port: UInt16) throws(Failure) -> Int32 {
        let descriptor = Loopback.socket()
        let code = Loopback.withAddress(port) {
            #if canImport(Darwin)
                Darwin.connect(descriptor, $0, $1)
            #else
                Glibc.connect(descriptor, $0, $1)
            #endif
        }
        guard code == 0 else {
            let reason = errno
            close(descriptor)
            throw Failure(.unavailable, "cannot connect to port \(port): errno \(reason)")
        }
        var on: Int32 = 1
        setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }

    func write(_ bytes: [UInt8]) throws(Failure) {
        try Loopback.write(bytes, to: self.descriptor, peer: "the connection")
    }

    /// Waits for bytes and has `answers` take what is whole.
    func read(_ answers: inout some Answers) throws(Failure) {
        if self.filled == self.buffer.count { self.grow() }
        let count = recv(
            self.descriptor, self.buffer.baseAddress?.advanced(by: self.filled),
            self.buffer.count - self.filled, 0)
        guard count > 0 else { throw Failure(.unavailable, "the connection is gone") }
        self.filled += count
        let taken = try answers.take(UnsafeRawBufferPointer(rebasing: self.buffer[..<self.filled]))
        if taken > 0 {
            self.filled -= taken
            let rest = UnsafeRawBufferPointer(rebasing: self.buffer[taken..<(taken + self.filled)])
            self.buffer.copyMemory(from: rest)
        }
        if !answers.reply.isEmpty {
            try self.write(answers.reply)
            answers.reply.removeAll(keepingCapacity: true)
        }
    }

    private func grow() {
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: self.buffer.count * 2, alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(self.buffer))
        self.buffer.deallocate()
        self.buffer = larger
    }
}

/// Tells which of many links have something to read.
struct Poller {
    private var entries: [pollfd]

    init(_ links: [Link]) {
        self.entries = links.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    }

    /// Waits for so many milliseconds (negative: no bound) and returns the places of the ready links.
    mutating func wait(milliseconds: Int32 = -1) -> [Int] {
        poll(&self.entries, nfds_t(self.entries.count), milliseconds)
        return self.entries.indices.filter { self.entries[$0].revents != 0 }
    }
}

/// Monotonic seconds.
func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Random bytes, which nothing can compress. The system's generator, asked byte by byte, takes longer than the rest.
func randomBytes(_ count: Int) -> [UInt8] {
    var state = UInt64.random(in: 1...UInt64.max)
    return [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
        for index in 0..<count {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            bytes[index] = UInt8(truncatingIfNeeded: state >> 32)
        }
        filled = count
    }
}

extension [UInt8] {
    mutating func appendBigEndian(_ number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.bigEndian) { self.append(contentsOf: $0) }
    }

    mutating func storeBigEndian(_ number: some FixedWidthInteger, at offset: Int) {
        self.withUnsafeMutableBytes {
            $0.storeBytes(of: number.bigEndian, toByteOffset: offset, as: type(of: number))
        }
    }
}

extension UnsafeRawBufferPointer {
    func bigEndian<Number: FixedWidthInteger>(_ offset: Int, as type: Number.Type) -> Number {
        Number(bigEndian: self.loadUnaligned(fromByteOffset: offset, as: type))
    }

    /// The bytes as text, for messages about failures.
    var text: String { String(decoding: self, as: UTF8.self) }
}
