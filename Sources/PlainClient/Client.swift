package import Core
package import Wire

// A simple, blocking client.
//
// 1. One thread uses it. Every wait has a deadline or can be woken by `wakeDescriptor`.
// 2. Frames come in the order in which the server sent them. `call` sets aside the frames that are
//    not its answer; `nextFrame` hands those out first.
// 3. While something is sent, whatever comes is read and kept: a server that waits for us to read
//    before it reads can not make both wait for ever.
// 4. What a server sends is checked: ranges of deliveries must join, positions must grow. The first
//    failure is final, and every later call throws it again.
// 5. PINGs are answered whenever frames are looked at. A server that says nothing for a heartbeat
//    is sent one, and is given up after two more.

/// A connection to a server, after the hello.
package final class Client {
    package let address: Address
    package private(set) var welcome = Welcome()
    /// Switched off, deliveries come as `summary`: for those who only count.
    package var decodesEvents = true
    /// `nextFrame` returns nil when this descriptor can be read; negative: none.
    package var wakeDescriptor: Int32 = -1
    /// For `call`, `send` and the hello.
    package var timeoutMilliseconds: Int

    private let socket: Socket
    private let arena = Arena()
    private var decoder = FrameDecoder()
    /// Frames that `call` set aside.
    private var setAside: [ClientFrame] = []
    private var setAsideTaken = 0
    private var requests = RequestTable()
    private var failure: Failure?
    /// Said by a GOAWAY; why the connection ends when it does.
    private var farewell: Failure?
    private var heartbeat = Heartbeat()
    private var isListeningForLastWords = false

    private static let readBytes = 64 << 10
    private let buffer = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Client.readBytes, alignment: 16)

    /// Connects and says hello. Throws `unavailable`, `deadlineExceeded`, what the server refuses
    /// with, or `internal` when it does not speak the protocol.
    package init(
        address: Address, clientName: String, token: [UInt8] = [],
        timeoutMilliseconds: Int = 10_000
    ) throws(Failure) {
        self.address = address
        self.timeoutMilliseconds = timeoutMilliseconds
        self.socket = try Socket(
            connectingTo: address, timeoutMilliseconds: timeoutMilliseconds)
        try self.send(Preface.bytes)
        var hello = HelloRequest()
        hello.client = Array(clientName.utf8.prefix(Limits.textBytesMax))
        hello.library = Array("dormouse-plain/1".utf8)
        hello.token = token
        let reply = try self.call(.hello(hello))
        guard case .hello(let welcome) = reply else {
            throw self.end(Failure(.internal, "the answer to Hello is another reply"))
        }
        self.welcome = welcome
        if welcome.heartbeatMilliseconds > 0 {
            self.heartbeat.milliseconds = Int(welcome.heartbeatMilliseconds)
        }
        self.decoder.payloadBytesMax = min(
            max(Int(welcome.frameBytesMax), Limits.helloFrameBytesMax), Limits.frameBytesMaxMax)
    }

    deinit {
        self.buffer.deallocate()
    }

    /// For `poll` and for tests; negative once it is closed.
    package var descriptor: Int32 { self.socket.descriptor }

    /// The largest event that fits into a request.
    package var eventBytesMax: Int { max(0, self.decoder.payloadBytesMax - 1024) }

    package func close() {
        self.socket.close()
    }

    // MARK: Sending

    /// Sends bytes as they are, all of them. Throws `deadlineExceeded` when the server takes
    /// nothing for `timeoutMilliseconds`.
    package func send(_ bytes: [UInt8]) throws(Failure) {
        try self.guardUsable()
        var sent = 0
        var deadline = Deadline(afterMilliseconds: self.timeoutMilliseconds)
        while sent < bytes.count {
            let count = try self.ending { () throws(Failure) in
                do throws(Failure) {
                    return try bytes.span.withUnsafeBytes { all throws(Failure) in
                        try self.socket.writeSome(UnsafeRawBufferPointer(rebasing: all[sent...]))
                    }
                } catch {
                    throw self.lastWords(insteadOf: error)
                }
            }
            sent += count
            if count > 0 {
                deadline = Deadline(afterMilliseconds: self.timeoutMilliseconds)
                continue
            }
            guard !deadline.hasPassed else {
                throw self.end(
                    Failure(
                        .deadlineExceeded,
                        "the server at \(self.address) takes no more bytes; "
                            + "\(bytes.count - sent) were not sent"))
            }
            try self.ending { () throws(Failure) in
                do throws(Failure) {
                    let ready = try self.socket.wait(
                        forWriting: true, milliseconds: deadline.pollMilliseconds())
                    if ready.isReadable { try self.receive() }
                } catch {
                    throw self.lastWords(insteadOf: error)
                }
            }
        }
    }

    /// Sends a request on a new stream and does not wait. With `FrameHeader.noReplyFlag` only a
    /// failure is answered. Throws `frameTooLarge` without having sent anything.
    package func sendRequest(_ request: Request, flags: UInt8 = 0) throws(Failure) -> StreamID {
        try self.guardUsable()
        let stream = self.requests.nextStream()
        var bytes: [UInt8] = []
        FrameEncoder.append(request, flags: flags, stream: stream, to: &bytes)
        let payload = bytes.count - FrameHeader.bytesCount
        guard payload <= self.decoder.payloadBytesMax else {
            throw Failure(
                .frameTooLarge,
                "a \(request.method.name) request has \(payload) bytes; the server takes at most "
                    + "\(self.decoder.payloadBytesMax). Send fewer events at a time")
        }
        if flags & FrameHeader.noReplyFlag == 0 { self.requests.add(stream, request.method) }
        try self.send(bytes)
        return stream
    }

    /// Ends a stream or request; it is answered by an END.
    package func cancel(_ stream: StreamID) throws(Failure) {
        var bytes: [UInt8] = []
        FrameEncoder.append(.cancel, stream: stream, to: &bytes)
        try self.send(bytes)
    }

    /// Sends a request and waits for its answer. Not for subscribes, whose answer is a stream.
    package func call(_ request: Request) throws(Failure) -> Reply {
        let stream = try self.sendRequest(request)
        let deadline = Deadline(afterMilliseconds: self.timeoutMilliseconds)
        while let frame = try self.frame(until: deadline, wake: -1) {
            switch frame {
            case .response(stream, let result): return try result.get()
            case .end(stream, let failure): throw failure
            default: self.setAside.append(frame)
            }
        }
        self.requests.abandon(stream)
        throw Failure(
            .deadlineExceeded,
            "the server at \(self.address) did not answer \(request.method.name) within "
                + "\(self.timeoutMilliseconds) ms")
    }

    // MARK: Receiving

    /// The next frame; nil when none came in time or `wakeDescriptor` can be read. Without a
    /// timeout it waits for as long as the server answers PINGs.
    package func nextFrame(timeoutMilliseconds: Int? = nil) throws(Failure) -> ClientFrame? {
        if self.setAsideTaken < self.setAside.count {
            defer { self.setAsideTaken += 1 }
            return self.setAside[self.setAsideTaken]
        }
        self.setAside.removeAll(keepingCapacity: true)
        self.setAsideTaken = 0
        return try self.frame(
            until: Deadline(afterMilliseconds: timeoutMilliseconds), wake: self.wakeDescriptor)
    }

    /// Reads what has come and answers PINGs, without waiting, for callers that are busy with
    /// something else. What came is handed out by `nextFrame` later.
    package func keepAlive() throws(Failure) {
        while let frame = try self.frame(until: Deadline(afterMilliseconds: 0), wake: -1) {
            self.setAside.append(frame)
        }
    }

    private func frame(until deadline: Deadline, wake: Int32) throws(Failure) -> ClientFrame? {
        try self.guardUsable()
        return try self.ending { () throws(Failure) -> ClientFrame? in
            while true {
                if let frame = try self.decodedFrame() { return frame }
                let ready = try self.socket.wait(
                    wake: wake,
                    milliseconds: deadline.pollMilliseconds(max: self.heartbeat.quietMilliseconds))
                if ready.isReadable {
                    try self.receive()
                } else if ready.isWoken || deadline.hasPassed {
                    return nil
                } else {
                    try self.checkHeartbeat()
                }
            }
        }
    }

    private func receive() throws(Failure) {
        let count: Int
        do throws(Failure) {
            count = try self.socket.readSome(self.buffer)
        } catch {
            // The last frames may still be in the decoder; a GOAWAY says more than an end does.
            throw self.farewell ?? error
        }
        guard count > 0 else { return }
        self.decoder.push(UnsafeRawBufferPointer(rebasing: self.buffer[..<count]))
        self.heartbeat.heard()
    }

    /// A server that closes has often said why before: what it sent until then is read, and a
    /// GOAWAY among it is a better reason than a broken connection.
    private func lastWords(insteadOf failure: Failure) -> Failure {
        guard !self.isListeningForLastWords else { return failure }
        self.isListeningForLastWords = true
        do throws(Failure) {
            while true {
                while let frame = try self.decodedFrame() { self.setAside.append(frame) }
                let held = self.decoder.heldBytes
                try self.receive()
                if self.decoder.heldBytes == held { return self.farewell ?? failure }
            }
        } catch {
            return self.farewell ?? failure
        }
    }

    /// The next frame that is complete and is for the caller.
    private func decodedFrame() throws(Failure) -> ClientFrame? {
        var frame: ClientFrame?
        var pong: [UInt8] = []
        while frame == nil {
            do throws(Failure) {
                let found = try self.decoder.next { header, payload throws(Failure) in
                    if header.type == .ping {
                        FrameEncoder.append(.pong, to: &pong) { $0.append(contentsOf: payload) }
                    } else {
                        frame = try self.requests.frame(
                            header, payload, decodesEvents: self.decodesEvents, arena: self.arena)
                    }
                }
                if !found { break }
            } catch {
                throw Failure(
                    .internal,
                    "the server at \(self.address) does not follow the protocol: \(error.message)")
            }
        }
        if !pong.isEmpty { try self.send(pong) }
        if case .goAway(let failure)? = frame { self.farewell = failure }
        return frame
    }

    private func checkHeartbeat() throws(Failure) {
        switch self.heartbeat.look() {
        case .none: return
        case .ping:
            var ping: [UInt8] = []
            FrameEncoder.append(.ping, to: &ping)
            try self.send(ping)
        case .giveUp(let milliseconds):
            throw Failure(
                .unavailable,
                "the server at \(self.address) has said nothing for \(milliseconds) ms")
        }
    }

    // MARK: Failures

    private func guardUsable() throws(Failure) {
        if let failure = self.failure { throw failure }
    }

    private func end(_ failure: Failure) -> Failure {
        self.failure = self.failure ?? failure
        self.socket.close()
        return failure
    }

    private func ending<Value>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        do throws(Failure) {
            return try body()
        } catch {
            throw self.end(error)
        }
    }
}
