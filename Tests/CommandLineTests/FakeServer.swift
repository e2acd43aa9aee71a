import Core
import Foundation
import Glibc
import PlainClient
import Wire

/// A server for one connection, on a real socket, that does what a test tells it: a thread of its
/// own runs the script. The socket listens before a client can know its address.
final class FakeServer {
    let address: Address

    init(_ script: @escaping @Sendable (FakeConnection) -> Void) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, size) | listen(listener, 1)
                    | getsockname(listener, pointer, &size)
            }
        }
        guard listener >= 0, status == 0 else {
            throw Failure(.internal, "no socket for the fake server: \(errno)")
        }
        self.address = Address(
            endpoint: .tcp(host: "127.0.0.1", port: UInt16(bigEndian: name.sin_port)))
        Thread.detachNewThread {
            let connection = FakeConnection(descriptor: accept(listener, nil, nil))
            script(connection)
            connection.close()
            Glibc.close(listener)
        }
    }
}

/// The server's end. Failures to read or write end the script's usefulness, and the client's test
/// with it.
final class FakeConnection {
    private let descriptor: Int32
    private var decoder = FrameDecoder(payloadBytesMax: 1 << 20)
    private let arena = Arena()

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    func close() {
        Glibc.close(self.descriptor)
    }

    func send(_ bytes: [UInt8]) {
        _ = Glibc.send(self.descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    func send(_ text: String) {
        self.send(Array(text.utf8))
    }

    func send(_ reply: Reply, on stream: StreamID) {
        var bytes: [UInt8] = []
        FrameEncoder.append(reply, stream: stream, to: &bytes)
        self.send(bytes)
    }

    func send(_ failure: Failure, as type: FrameType, on stream: StreamID = .connection) {
        var bytes: [UInt8] = []
        FrameEncoder.append(failure, as: type, stream: stream, to: &bytes)
        self.send(bytes)
    }

    func deliver(_ delivery: Delivery, on stream: StreamID) {
        var bytes: [UInt8] = []
        FrameEncoder.append(.data, stream: stream, to: &bytes) { delivery.encode(into: &$0) }
        self.send(bytes)
    }

    func deliver(_ after: UInt64, _ upto: UInt64, on stream: StreamID) {
        self.deliver(
            Delivery(header: DeliveryHeader(after: Position(after), upto: Position(upto))),
            on: stream)
    }

    /// The next frame; nil when the client has gone.
    func frame() -> (header: FrameHeader, payload: [UInt8])? {
        var found: (FrameHeader, [UInt8])?
        while true {
            do {
                if try self.decoder.next({ found = ($0, Array($1)) }) { return found }
            } catch {
                return nil
            }
            guard let bytes = self.read(65_536) else { return nil }
            bytes.withUnsafeBytes { self.decoder.push($0) }
        }
    }

    /// The next frame that is a request, decoded.
    func request() -> (stream: StreamID, request: Request)? {
        guard let (header, payload) = self.frame(), let method = Method(rawValue: header.code)
        else { return nil }
        let request = payload.withUnsafeBytes { bytes in
            try? Request.decode(
                method: method, payload: bytes, eventBytesMax: 1 << 20, arena: self.arena)
        }
        return request.map { (header.stream, $0) }
    }

    /// Reads preface and hello, and welcomes.
    @discardableResult
    func welcome(heartbeatMilliseconds: UInt32 = 20_000, frameBytesMax: UInt32 = 1 << 20) -> Bool {
        guard let stream = self.hello() else { return false }
        self.send(
            .hello(
                Welcome(
                    server: Array("fake".utf8), frameBytesMax: frameBytesMax,
                    heartbeatMilliseconds: heartbeatMilliseconds)), on: stream)
        return true
    }

    /// Reads preface and hello; the stream that is to be answered.
    func hello() -> StreamID? {
        var preface: [UInt8] = []
        while preface.count < Preface.bytes.count {
            guard let bytes = self.read(Preface.bytes.count - preface.count) else { return nil }
            preface += bytes
        }
        guard preface == Preface.bytes, let (stream, request) = self.request(),
            case .hello = request
        else { return nil }
        return stream
    }

    /// Until the client closes.
    func drain() {
        while self.read(65_536) != nil {}
    }

    private func read(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = recv(self.descriptor, &bytes, count, 0)
        return received > 0 ? Array(bytes.prefix(received)) : nil
    }
}
