import Core
import PlainClient
import Wire

/// A connection of bytes, for what no client would send.
final class RawConnection {
    struct Frame {
        let header: FrameHeader
        let payload: [UInt8]

        /// What a RESPONSE, END or GOAWAY says.
        var failure: Failure {
            self.payload.withUnsafeBytes {
                FailureMessage.decode(code: self.header.code, payload: $0, arena: Arena())
            }
        }
    }

    private let socket: Socket
    private var decoder = FrameDecoder(payloadBytesMax: Limits.frameBytesMaxMax)
    private(set) var isClosed = false

    var descriptor: Int32 { self.socket.descriptor }

    init(_ address: Address) throws {
        self.socket = try Socket(connectingTo: address, timeoutMilliseconds: Int(patience * 1_000))
    }

    func close() {
        self.socket.close()
    }

    /// Sends all of it; stops silently where the server has closed, as a careless peer does.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        let deadline = uptime + patience
        while sent < bytes.count {
            guard uptime < deadline else { throw Problem("the server takes no more bytes") }
            do {
                let count = try bytes.withUnsafeBytes { all in
                    try self.socket.writeSome(UnsafeRawBufferPointer(rebasing: all[sent...]))
                }
                sent += count
                if count == 0 { _ = try self.socket.wait(forWriting: true, milliseconds: 100) }
            } catch {
                return
            }
        }
    }

    func send(
        _ type: UInt8, flags: UInt8 = 0, code: UInt16 = 0, stream: UInt32 = 0,
        payload: [UInt8] = [], length: UInt32? = nil
    ) throws {
        try self.send(
            Self.frame(
                type, flags: flags, code: code, stream: stream, payload: payload, length: length))
    }

    func send(_ request: Request, stream: UInt32) throws {
        var bytes: [UInt8] = []
        FrameEncoder.append(request, stream: StreamID(rawValue: stream), to: &bytes)
        try self.send(bytes)
    }

    /// A frame of any numbers.
    static func frame(
        _ type: UInt8, flags: UInt8 = 0, code: UInt16 = 0, stream: UInt32 = 0,
        payload: [UInt8] = [], length: UInt32? = nil
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        withUnsafeBytes(of: (length ?? UInt32(payload.count)).bigEndian) { bytes += $0 }
        bytes += [type, flags]
        withUnsafeBytes(of: code.bigEndian) { bytes += $0 }
        withUnsafeBytes(of: stream.bigEndian) { bytes += $0 }
        return bytes + payload
    }

    /// Preface and hello, on stream 1, and its answer.
    func sayHello() throws {
        try self.send(Preface.bytes)
        try self.send(.hello(HelloRequest(client: Array("raw".utf8))), stream: 1)
        let frame = try self.next()
        guard frame.header.type == .response, frame.header.code == 0 else {
            throw Problem("the hello was answered by \(frame.header): \(frame.failure)")
        }
    }

    // MARK: Receiving

    /// The next frame.
    func next(seconds: Double = patience) throws -> Frame {
        guard let frame = try self.nextOrEnd(seconds: seconds) else {
            throw Problem("the server closed the connection; expected a frame")
        }
        return frame
    }

    /// The next frame that is no PING, or nil when the server has closed the connection.
    func nextOrEnd(seconds: Double = patience) throws -> Frame? {
        let deadline = uptime + seconds
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            var frame: Frame?
            let isFound = try self.decoder.next { header, payload in
                frame = Frame(header: header, payload: Array(payload))
            }
            if isFound, let frame {
                if frame.header.type == .ping { continue }
                return frame
            }
            if self.isClosed { return nil }
            guard uptime < deadline else { throw Problem("no frame came in \(seconds) s") }
            _ = try self.socket.wait(milliseconds: 100)
            do {
                let count = try self.socket.readSome(buffer)
                self.decoder.push(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } catch {
                self.isClosed = true
            }
        }
    }

    /// The server says GOAWAY and closes; what came before it is passed over.
    func farewell(seconds: Double = patience) throws -> Failure {
        var farewell: Failure?
        while let frame = try self.nextOrEnd(seconds: seconds) {
            if frame.header.type == .goAway { farewell = frame.failure }
        }
        guard let farewell else { throw Problem("the server closed without a GOAWAY") }
        return farewell
    }
}
