import Core
import Wire

/// The client's end of connections, one at a time: writes requests, reads frames, comes back when
/// the connection is lost. What it asks for is up to its subclasses.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
class SimulatedClient: @unchecked Sendable {
    unowned let simulation: Simulation
    let number: Int
    /// Who connects, as the kernel says; 0 administers.
    var user: UInt32 = 0
    private(set) var connection: SimulatedConnection?
    private(set) var isOpen = false
    private(set) var asked: [UInt32: Asked] = [:]
    private var decoder = FrameDecoder(payloadBytesMax: Limits.frameBytesMaxMax)
    private let arena = Arena()
    private var lastStream: UInt32 = 0
    /// Numbers whose requests were answered, cancelled ones included.
    private var freeStreams: [UInt32] = []
    private(set) var isStopped = false
    private var asksOver: UInt64 = 0

    init(_ simulation: Simulation, number: Int) {
        self.simulation = simulation
        self.number = number
    }

    var dice: Dice { self.simulation.dice }

    func start() {
        self.simulation.after(self.dice.below(20_000)) { self.turn() }
    }

    /// No new trouble from here on; subclasses decide what is still to be done.
    func calmDown() {
        self.connection?.endStall()
    }

    /// For good.
    func stop() {
        guard !self.isStopped else { return }
        self.isStopped = true
        self.connection?.closeFromClient()
    }

    /// What this client still waits for after everything is healed; nil: nothing.
    var waitsFor: String? {
        let open = self.asked.filter { entry in
            switch entry.value {
            case .subscribe, .quietly: false
            case .hello, .publish, .producer, .fetch, .administration: true
            }
        }
        guard !self.isStopped, let first = open.keys.min(), let what = open[first] else {
            return nil
        }
        return "client \(self.number) for its \(what.method.name) on stream \(first)"
    }

    // MARK: Turns

    private func turn() {
        guard !self.isStopped else { return }
        if self.connection == nil {
            self.connect()
        } else if !self.simulation.isQuiet, self.makesTrouble() {
            // That was enough for this turn.
        } else if self.isOpen {
            self.act()
        }
        self.simulation.after(self.dice.within(500...self.turnMicroseconds)) { self.turn() }
    }

    var turnMicroseconds: Int { 20_000 }

    private func makesTrouble() -> Bool {
        let plan = self.simulation.plan
        if self.dice.chance(plan.losses) {
            self.simulation.statistics.losses += 1
            self.connection?.lose()
        } else if self.dice.chance(plan.vanishings) {
            self.simulation.statistics.vanishings += 1
            self.connection?.vanish()
        } else if self.dice.chance(plan.stalls) {
            self.simulation.statistics.stalls += 1
            let length = self.dice.chance(200) ? nil : self.dice.within(10...3_000)
            self.connection?.stall(milliseconds: length)
        } else {
            return false
        }
        return true
    }

    private func connect() {
        guard let connection = self.simulation.connect(self) else { return }
        self.connection = connection
        self.decoder = FrameDecoder(payloadBytesMax: Limits.frameBytesMaxMax)
        self.lastStream = 0
        self.freeStreams = []
        self.asked = [:]
        self.isOpen = false
        self.greet(connection)
    }

    func greet(_ connection: SimulatedConnection) {
        connection.write(Preface.bytes)
        _ = self.ask(.hello(HelloRequest(client: Array("client \(self.number)".utf8))), .hello)
    }

    // MARK: For subclasses

    /// Connected, and the hello is over: do something.
    func act() {}
    func opened() {}
    func ended() {}
    func answered(_ stream: UInt32, _ asked: Asked, _ result: Result<Reply, Failure>) {}
    func delivered(_ stream: UInt32, _ record: StreamRecord, _ delivery: Delivery) {}

    @discardableResult
    func ask(_ request: Request, _ asked: Asked, isQuiet: Bool = false) -> UInt32 {
        self.ask(asked, isQuiet: isQuiet) { request.encode(into: &$0) }
    }

    @discardableResult
    func ask(_ asked: Asked, isQuiet: Bool = false, _ payload: (inout [UInt8]) -> Void) -> UInt32 {
        let stream = self.nextStream()
        var bytes: [UInt8] = []
        FrameEncoder.append(
            .request, flags: isQuiet ? FrameHeader.noReplyFlag : 0, code: asked.method.rawValue,
            stream: StreamID(rawValue: stream), to: &bytes, payload: payload)
        self.asked[stream] = asked
        self.connection?.expect(asked, on: stream)
        self.connection?.write(bytes)
        self.simulation.note(
            .request, self.number << 32 | Int(stream),
            Int(asked.method.rawValue) << 32 | bytes.count,
            "client \(self.number) on connection \(self.connection?.id.rawValue ?? 0) stream "
                + "\(stream): \(asked.method.name)")
        return stream
    }

    private func nextStream() -> UInt32 {
        if !self.freeStreams.isEmpty, self.dice.chance(300) {
            return self.freeStreams.remove(at: self.dice.below(self.freeStreams.count))
        }
        self.lastStream += 1
        return self.lastStream
    }

    func cancel(_ stream: UInt32) {
        var bytes: [UInt8] = []
        FrameEncoder.append(.cancel, stream: StreamID(rawValue: stream), to: &bytes)
        self.connection?.cancelled(stream)
        self.connection?.write(bytes)
    }

    // MARK: From the connection

    func received(_ bytes: [UInt8], from connection: SimulatedConnection) {
        guard self.connection === connection else { return }
        bytes.withUnsafeBytes { self.decoder.push($0) }
        do throws(Failure) {
            while self.connection === connection {
                let isFrame = try self.decoder.next { header, payload throws(Failure) in
                    try self.frame(header, payload)
                }
                if !isFrame { return }
            }
        } catch {
            self.simulation.checker.broke(.decoding, "client \(self.number): \(error)")
        }
    }

    private func frame(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) throws(Failure) {
        let stream = header.stream.rawValue
        switch header.type {
        case .ping:
            var bytes: [UInt8] = []
            FrameEncoder.append(.pong, to: &bytes) { $0 += Array(payload) }
            self.connection?.write(bytes)
        case .data:
            guard case .subscribe(let record) = self.asked[stream] else { return }
            self.delivered(stream, record, try Delivery.decode(payload))
        case .response, .end:
            guard let asked = self.asked.removeValue(forKey: stream) else { return }
            self.freeStreams.append(stream)
            try self.answer(stream, asked, header, payload)
        case .goAway, .pong, .request, .cancel:
            break
        }
    }

    private func answer(
        _ stream: UInt32, _ asked: Asked, _ header: FrameHeader, _ payload: UnsafeRawBufferPointer
    ) throws(Failure) {
        guard header.code == 0 else {
            let failure = FailureMessage.decode(
                code: header.code, payload: payload, arena: self.arena)
            return self.answered(stream, asked, .failure(failure))
        }
        let reply = try Reply.decode(method: asked.method, payload: payload, arena: self.arena)
        if case .hello = reply {
            self.isOpen = true
            self.opened()
        } else {
            self.answered(stream, asked, .success(reply))
        }
    }

    func lost(_ connection: SimulatedConnection) {
        guard self.connection === connection else { return }
        self.connection = nil
        self.isOpen = false
        self.asked = [:]
        self.ended()
    }
}
