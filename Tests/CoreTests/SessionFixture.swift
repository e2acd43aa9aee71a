@testable import Core

/// A session machine with its inputs in short form; a class, because the machine cannot be copied
/// and the testing macros copy what they look at.
final class SessionFixture {
    private var machine: SessionMachine

    /// Brought to `state` by the usual way.
    init(_ state: SessionMachine.State, requestsMax: Int = 3, publishBytesMax: Int = 100) {
        var limits = Limits()
        limits.requestsMax = requestsMax
        limits.publishBytesMax = publishBytesMax
        limits.helloMillisecondsMax = 5_000
        limits.heartbeatMilliseconds = 1_000
        self.machine = SessionMachine(limits: limits)
        switch state {
        case .greeting: break
        case .introducing: self.machine.prefaceReceived()
        case .open, .draining, .closed:
            self.machine.prefaceReceived()
            self.machine.helloAccepted()
            if state == .draining { _ = self.machine.drain() }
            if state == .closed { _ = self.machine.close() }
        }
    }

    var state: SessionMachine.State { self.machine.state }
    var isFull: Bool { self.machine.isFull }
    var isFinished: Bool { self.machine.isFinished }
    var publishBytes: Int { self.machine.publishBytes }
    var streams: [UInt32] { self.machine.requests.keys.map(\.rawValue).sorted() }

    func preface() { self.machine.prefaceReceived() }
    func helloAccepted() { self.machine.helloAccepted() }
    func heard() { self.machine.heard() }
    func drain() -> Bool { self.machine.drain() }
    func close() -> [UInt32] { self.machine.close().map(\.rawValue) }

    func request(
        _ stream: UInt32, isHello: Bool = false, isQuiet: Bool = false, publishBytes: Int = 0
    ) -> SessionMachine.RequestAction {
        self.machine.requestReceived(
            method: 7, isHello: isHello, stream: StreamID(rawValue: stream), isQuiet: isQuiet,
            publishBytes: publishBytes)
    }

    func answered(_ stream: UInt32) -> SessionMachine.Request? {
        self.machine.answered(StreamID(rawValue: stream))
    }

    func cancel(_ stream: UInt32) -> Bool { self.machine.cancel(StreamID(rawValue: stream)) }
    func workEnded(_ stream: UInt32) { self.machine.workEnded(StreamID(rawValue: stream)) }
    func isOpen(_ stream: UInt32) -> Bool { self.machine.isOpen(StreamID(rawValue: stream)) }

    func checked(silence: Int, age: Int = 0) -> SessionMachine.SilenceAction {
        self.machine.checked(silenceMilliseconds: silence, ageMilliseconds: age)
    }
}

/// An action without its texts.
enum RequestVerdict: Equatable {
    case hello
    case perform
    case ignore
    case refuse(StatusCode)
    case goAway(StatusCode)

    init(_ action: SessionMachine.RequestAction) {
        switch action {
        case .hello: self = .hello
        case .perform: self = .perform
        case .ignore: self = .ignore
        case .refuse(let failure): self = .refuse(failure.code)
        case .goAway(let failure): self = .goAway(failure.code)
        }
    }
}
