import Core
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A connection that has said hello. Blocking, and cheap: the load must cost little beside what is
/// measured.
final class Socket {
    private let descriptor: Int32
    private var decoder = FrameDecoder(payloadBytesMax: Limits.frameBytesMaxMax)
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)

    init(_ settings: Settings) throws(Failure) {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = settings.port.bigEndian
        inet_pton(AF_INET, settings.host, &address.sin_addr)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, size)
            }
        }
        guard code == 0 else {
            throw Failure(
                .unavailable, "cannot connect to \(settings.host):\(settings.port); start dormoused"
            )
        }
        var bytes = Preface.bytes
        FrameEncoder.append(
            .hello(HelloRequest(client: Array("bench".utf8))), stream: StreamID(rawValue: 1),
            to: &bytes)
        try self.write(bytes)
        var isWelcome = false
        while !isWelcome {
            try self.read { header, _ in isWelcome = header.type == .response && header.code == 0 }
        }
    }

    deinit {
        close(self.descriptor)
        self.buffer.deallocate()
    }

    func write(_ bytes: [UInt8]) throws(Failure) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(
                    self.descriptor, $0.baseAddress?.advanced(by: offset), bytes.count - offset,
                    Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(.unavailable, "the connection is gone") }
            offset += count
        }
    }

    /// Waits for bytes and hands out the frames in them.
    func read(_ body: (FrameHeader, UnsafeRawBufferPointer) -> Void) throws(Failure) {
        let count = recv(self.descriptor, self.buffer.baseAddress, self.buffer.count, 0)
        guard count > 0 else { throw Failure(.unavailable, "the connection is gone") }
        let bytes = UnsafeRawBufferPointer(rebasing: self.buffer[..<count])
        _ = try self.decoder.decode(bytes) {
            (header, payload) throws(Failure) -> FrameDecoder.Step in
            if header.type == .goAway {
                throw Failure(
                    .unavailable, "the server closed the connection with status \(header.code)")
            }
            body(header, payload)
            return .next
        }
    }
}
