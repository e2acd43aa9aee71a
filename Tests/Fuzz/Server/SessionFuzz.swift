import Core

// The session machine in any order of inputs: those of a peer, of a timer, of work that ends, of a server that stops. Beside
// it a plain account of what must be true.

private let limits: Limits = {
    var limits = Limits()
    limits.requestsMax = 5
    limits.publishBytesMax = 1_000
    limits.frameBytesMax = 400
    return limits
}()

/// Each input takes three bytes: which, and two numbers.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var run = Run()
    var offset = 0
    while offset + 3 <= count {
        run.step(bytes[offset], bytes[offset + 1], bytes[offset + 2])
        run.check()
        offset += 3
    }
    return 0
}

private struct Run: ~Copyable {
    var machine = SessionMachine(limits: limits)
    /// Taken and not answered, with the bytes that wait with them.
    var open: [StreamID: Int] = [:]
    var cancelled: Set<StreamID> = []
    var isClosed = false

    mutating func step(_ input: UInt8, _ first: UInt8, _ second: UInt8) {
        let stream = StreamID(rawValue: UInt32(first % 8))
        switch input % 11 {
        case 0: self.machine.prefaceReceived()
        case 1: self.machine.helloAccepted()
        case 2, 3: self.request(stream, isHello: input % 11 == 2, second)
        case 4:
            let answered = self.machine.answered(stream)
            let isHeard = self.open[stream] != nil && !self.cancelled.contains(stream)
            precondition((answered != nil) == isHeard, "answered twice, or not at all")
            self.forget(stream)
        case 5:
            let isFirst = self.machine.cancel(stream)
            precondition(
                isFirst == (self.open[stream] != nil && !self.cancelled.contains(stream)))
            if isFirst { self.cancelled.insert(stream) }
        case 6:
            self.machine.workEnded(stream)
            if self.cancelled.contains(stream) { self.forget(stream) }
        case 7: self.machine.heard()
        case 8:
            let action = self.machine.checked(
                silenceMilliseconds: Int(first) << 16, ageMilliseconds: Int(second) << 16)
            if self.isClosed { precondition(action == .none) }
        case 9:
            let mustTell = self.machine.drain()
            precondition(!(mustTell && self.isClosed))
        case _:
            let streams = self.machine.close()
            precondition(streams == (self.isClosed ? [] : self.open.keys.sorted()))
            self.isClosed = true
            self.open = [:]
            self.cancelled = []
        }
    }

    private mutating func request(_ stream: StreamID, isHello: Bool, _ number: UInt8) {
        let bytes = Int(number) * 2
        let action = self.machine.requestReceived(
            method: isHello ? 1 : 10, isHello: isHello, stream: stream, isQuiet: number % 2 == 0,
            publishBytes: bytes)
        switch action {
        case .hello, .perform:
            precondition(!self.isClosed && stream != .connection && self.open[stream] == nil)
            precondition((action == .hello) == isHello)
            self.open[stream] = bytes
        case .refuse(let failure), .goAway(let failure):
            precondition(failure.code != .ok && !failure.message.isEmpty)
        case .ignore:
            break
        }
    }

    private mutating func forget(_ stream: StreamID) {
        self.open[stream] = nil
        self.cancelled.remove(stream)
    }

    /// What holds at all times.
    borrowing func check() {
        precondition(Set(self.machine.requests.keys) == Set(self.open.keys))
        precondition(self.machine.publishBytes == self.open.values.reduce(0, +))
        precondition((self.machine.state == .closed) == self.isClosed)
        for stream in self.open.keys {
            precondition(self.machine.isOpen(stream) == !self.cancelled.contains(stream))
        }
        if self.machine.isFinished { precondition(self.open.isEmpty) }
    }
}
