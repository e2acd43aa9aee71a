// One client connection, from its first byte to its last.
//
//   greeting ──preface──▶ introducing ──hello──▶ open ──drain──▶ draining ──quiet──▶ closed
//      │ wrong preface         │ other request, deadline │ broken framing, silence      ▲
//      └───────────────────────┴─────────────────────────┴──────────────────────────────┘
//
// Invariant: every request that was taken is answered exactly once or its connection is gone;
// `requests` holds those that are not answered yet, streams included.

package struct SessionMachine: ~Copyable {
    package enum State: Hashable, Sendable {
        /// The preface has not come. → introducing, closed
        case greeting
        /// The hello has not come. → open, closed
        case introducing
        /// → draining, closed
        case open
        /// GOAWAY was sent: no new requests; closes when what is running has ended. → closed
        case draining
        case closed
    }

    /// A request that is not answered yet.
    package struct Request: Hashable, Sendable {
        package let method: UInt16
        /// No reply is wanted unless it fails.
        package let isQuiet: Bool
        /// Bytes of the request, which wait with it.
        package let publishBytes: Int
        /// Ended by CANCEL. Its work goes on, unheard; until that is over, the number is not free, or
        /// its end would be taken for the next request's.
        package var isCancelled = false
    }

    package private(set) var state: State = .greeting
    package private(set) var requests: [StreamID: Request] = [:]
    package private(set) var publishBytes = 0
    private let limits: Limits
    private var pingSent = false

    package init(limits: Limits) {
        self.limits = limits
    }

    /// Answers are behind by as much as is allowed: read no further.
    package var isFull: Bool {
        self.requests.count >= self.limits.requestsMax
            || self.publishBytes >= self.limits.publishBytesMax
    }

    // MARK: Beginning

    package mutating func prefaceReceived() {
        switch self.state {
        case .greeting: self.state = .introducing
        case .introducing, .open, .draining, .closed: break
        }
    }

    package mutating func helloAccepted() {
        switch self.state {
        case .introducing: self.state = .open
        case .greeting, .open, .draining, .closed: break
        }
    }

    // MARK: Requests

    package enum RequestAction: Hashable, Sendable {
        case hello
        case perform
        /// A RESPONSE (or END) with this failure; the connection goes on.
        case refuse(Failure)
        /// GOAWAY with this failure, then close.
        case goAway(Failure)
        case ignore
    }

    /// A REQUEST frame came. `perform` and `hello` register the stream: `answered` must follow.
    package mutating func requestReceived(
        method: UInt16, isHello: Bool, stream: StreamID, isQuiet: Bool, publishBytes: Int
    ) -> RequestAction {
        if self.state == .greeting || self.state == .closed { return .ignore }
        let sameNumber = self.requests[stream]
        if let sameNumber, sameNumber.isCancelled {
            return .refuse(
                Failure(
                    .aborted,
                    "what the cancelled request on stream \(stream.rawValue) has set in motion is not over; "
                        + "use another number"))
        }
        guard stream != .connection, sameNumber == nil else {
            return .goAway(
                Failure(
                    .invalidArgument,
                    "stream \(stream.rawValue) is 0 or in use; number requests from 1 on and reuse a number only "
                        + "after its answer"))
        }
        switch self.state {
        case .introducing:
            guard isHello else {
                return .goAway(Failure(.failedPrecondition, "the first request must be Hello"))
            }
            guard self.requests.isEmpty else {
                return .refuse(Failure(.failedPrecondition, "Hello was already said"))
            }
        case .open:
            if isHello { return .refuse(Failure(.failedPrecondition, "Hello was already said")) }
        case .draining:
            return .refuse(
                Failure(
                    .draining, "the server is stopping; connect again",
                    retryAfterMilliseconds: 1_000))
        case .greeting, .closed:
            return .ignore
        }
        self.requests[stream] = Request(
            method: method, isQuiet: isQuiet, publishBytes: publishBytes)
        self.publishBytes += publishBytes
        return isHello ? .hello : .perform
    }

    /// The request's answer (or END) is on its way. nil: it was answered before, or the connection
    /// is gone; say nothing.
    package mutating func answered(_ stream: StreamID) -> Request? {
        guard let request = self.requests.removeValue(forKey: stream) else { return nil }
        self.publishBytes -= request.publishBytes
        return request.isCancelled ? nil : request
    }

    /// CANCEL came; true: END is due. The number is free when `answered` or `workEnded` follows.
    package mutating func cancel(_ stream: StreamID) -> Bool {
        guard let request = self.requests[stream], !request.isCancelled else { return false }
        self.requests[stream]?.isCancelled = true
        return true
    }

    /// The work of a request is over; if it was cancelled meanwhile, its number is free now.
    package mutating func workEnded(_ stream: StreamID) {
        if self.requests[stream]?.isCancelled == true { _ = self.answered(stream) }
    }

    /// Whether somebody still waits for this request's answer.
    package func isOpen(_ stream: StreamID) -> Bool {
        self.requests[stream]?.isCancelled == false
    }

    // MARK: Silence

    package enum SilenceAction: Hashable, Sendable {
        case none
        case ping
        case close(String)
    }

    package mutating func heard() {
        self.pingSent = false
    }

    /// Called now and then: `silence` is how long nothing was heard while we were reading.
    package mutating func checked(silenceMilliseconds: Int, ageMilliseconds: Int) -> SilenceAction {
        switch self.state {
        case .greeting, .introducing:
            return ageMilliseconds >= self.limits.helloMillisecondsMax
                ? .close("no hello in time") : .none
        case .open, .draining:
            if silenceMilliseconds >= 3 * self.limits.heartbeatMilliseconds {
                return .close("no sign of life for three heartbeats")
            }
            if silenceMilliseconds >= self.limits.heartbeatMilliseconds, !self.pingSent {
                self.pingSent = true
                return .ping
            }
            return .none
        case .closed:
            return .none
        }
    }

    // MARK: End

    /// The server wants to stop; true: send GOAWAY.
    package mutating func drain() -> Bool {
        switch self.state {
        case .open:
            self.state = .draining
            return true
        case .greeting, .introducing:
            self.state = .draining
            return true
        case .draining, .closed:
            return false
        }
    }

    /// Draining, and everything is answered.
    package var isFinished: Bool {
        self.state == .draining && self.requests.isEmpty
    }

    /// The connection is gone, or about to be. Returns the streams that were open; false/empty the
    /// second time.
    package mutating func close() -> [StreamID] {
        guard self.state != .closed else { return [] }
        self.state = .closed
        let open = self.requests.keys.sorted()
        self.requests = [:]
        self.publishBytes = 0
        return open
    }
}
