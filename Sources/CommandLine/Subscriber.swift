import Core
import PlainClient
import Wire

/// Prints what a subscription is sent, and acknowledges what it has printed.
struct Subscriber {
    private static let creditEvents: UInt32 = 1000
    private static let creditBytes: UInt32 = 8 << 20

    private let client: Client
    private let request: SubscribeRequest
    private let title: String
    private let isJSON: Bool
    private let interrupts: Interrupts
    private let output = Output()
    /// Events still to be printed; nil: no end.
    private var remaining: UInt64?
    /// Credit that the server may still be given: with a count, no event more than that is asked
    /// for, so that none is sent in vain.
    private var ungranted: UInt64?
    private var stream = StreamID.connection
    private var usedEvents: UInt32 = 0
    private var usedBytes: UInt32 = 0
    private var isConfirmed = false
    /// Written to standard output.
    private var printed = Position.origin
    private var acknowledged = Position.origin

    init(
        _ request: SubscribeRequest, title: String, count: UInt64?, isJSON: Bool, client: Client
    ) throws(CommandFailure) {
        var request = request
        let credit = min(count ?? .max, UInt64(Self.creditEvents))
        request.creditEvents = UInt32(credit)
        request.creditBytes = Self.creditBytes
        self.request = request
        self.title = title
        self.remaining = count
        self.ungranted = count.map { $0 - credit }
        self.isJSON = isJSON
        self.client = client
        self.interrupts = try Interrupts()
    }

    mutating func run() throws(CommandFailure) -> ExitCode {
        self.client.wakeDescriptor = self.interrupts.descriptor
        self.stream = try self.attempting { (me) throws(Failure) in
            try me.client.sendRequest(.subscribe(me.request))
        }
        while true {
            let frame = try self.attempting { (me) throws(Failure) in
                try me.client.nextFrame(
                    timeoutMilliseconds: me.isConfirmed ? nil : me.client.timeoutMilliseconds)
            }
            if let exit = self.interrupts.take() { return try self.leave(exit) }
            guard let frame else {
                if self.isConfirmed { continue }
                throw CommandFailure(
                    Failure(
                        .deadlineExceeded,
                        "the server did not answer within \(self.client.timeoutMilliseconds) ms"),
                    doing: self.doing)
            }
            if let exit = try self.take(frame) { return exit }
        }
    }

    private var doing: String {
        self.isConfirmed
            ? "the subscription \(self.title) has ended" : "cannot subscribe \(self.title)"
    }

    /// The exit code when this was the end.
    private mutating func take(_ frame: ClientFrame) throws(CommandFailure) -> ExitCode? {
        switch frame {
        case .data(self.stream, let delivery):
            return try self.take(delivery)
        case .end(self.stream, let failure):
            throw CommandFailure(self.advise(failure), doing: self.doing)
        case .response(_, .failure(let failure)):
            throw CommandFailure(failure, doing: "the server refuses an acknowledgement")
        case .goAway(let failure):
            if Output.isTelling {
                Output.tell(
                    "dormouse: the server is closing: " + Text.printable(failure.message))
            }
            return nil
        case .data, .summary, .end, .response, .pong:
            return nil
        }
    }

    private func advise(_ failure: Failure) -> Failure {
        guard failure.code == .failedPrecondition, !self.isConfirmed else { return failure }
        var failure = failure
        failure.message += ". Leave the filters as they were, or give --replace-config"
        return failure
    }

    // MARK: Events

    private mutating func take(_ delivery: Delivery) throws(CommandFailure) -> ExitCode? {
        if !self.isConfirmed { self.confirm(delivery.header) }
        var upto = delivery.header.upto
        for event in delivery.events {
            self.output.gather(self.isJSON ? EventText.json(event) : EventText.line(event))
            self.usedEvents += 1
            self.usedBytes = UInt32(clamping: UInt64(self.usedBytes) + UInt64(event.creditBytes))
            if let remaining = self.remaining { self.remaining = remaining - 1 }
            if self.remaining == 0 {
                upto = event.position
                break
            }
        }
        if !delivery.events.isEmpty, let exit = try self.flush() {
            // Nothing of this delivery is acknowledged: nobody knows how much of it was read.
            return try self.leave(exit)
        }
        self.printed = upto
        if self.remaining == 0 { return try self.leave(.success) }
        try self.acknowledge()
        try self.grant()
        return nil
    }

    private mutating func confirm(_ header: DeliveryHeader) {
        self.isConfirmed = true
        self.printed = header.after
        self.acknowledged = header.after
        guard Output.isTelling else { return }
        Output.tell(
            "subscribed \(self.title) after position \(header.after); the newest is \(header.head)."
                + " Ctrl-C ends")
    }

    /// Writes the lines. While the reader is slow, the connection is kept alive; the exit code when
    /// a signal ended the waiting.
    private mutating func flush() throws(CommandFailure) -> ExitCode? {
        var exit: ExitCode?
        let (client, interrupts, doing) = (self.client, self.interrupts, self.doing)
        do throws(CommandFailure) {
            try self.output.flush { () throws(CommandFailure) in
                if let signal = interrupts.take() {
                    exit = signal
                    throw CommandFailure(signal, "")
                }
                try attempt(doing) { () throws(Failure) in try client.keepAlive() }
            }
        } catch {
            if exit == nil { throw error }
        }
        return exit
    }

    private mutating func acknowledge() throws(CommandFailure) {
        guard self.printed > self.acknowledged else { return }
        let request = AcknowledgeRequest(
            stream: self.stream.rawValue, upto: self.printed.rawValue)
        try self.attempting { (me) throws(Failure) in
            _ = try me.client.sendRequest(.acknowledge(request), flags: FrameHeader.noReplyFlag)
        }
        self.acknowledged = self.printed
    }

    /// Gives back what was used, once it is worth a request.
    private mutating func grant() throws(CommandFailure) {
        guard self.usedEvents >= Self.creditEvents / 2 || self.usedBytes >= Self.creditBytes / 2
        else { return }
        let events = UInt32(min(UInt64(self.usedEvents), self.ungranted ?? .max))
        if let ungranted = self.ungranted { self.ungranted = ungranted - UInt64(events) }
        let request = GrantRequest(
            stream: self.stream.rawValue, events: events, bytes: self.usedBytes)
        self.usedEvents = 0
        self.usedBytes = 0
        try self.attempting { (me) throws(Failure) in
            _ = try me.client.sendRequest(.grant(request), flags: FrameHeader.noReplyFlag)
        }
    }

    // MARK: The end

    /// Acknowledges what was printed, waits for the confirmation, and ends the stream.
    private mutating func leave(_ exit: ExitCode) throws(CommandFailure) -> ExitCode {
        if self.printed > self.acknowledged {
            let request = AcknowledgeRequest(
                stream: self.stream.rawValue, upto: self.printed.rawValue)
            try self.attempting { (me) throws(Failure) in
                _ = try me.client.call(.acknowledge(request))
            }
            self.acknowledged = self.printed
        }
        try self.attempting { (me) throws(Failure) in
            me.client.wakeDescriptor = -1
            try me.client.cancel(me.stream)
            while let frame = try me.client.nextFrame(
                timeoutMilliseconds: me.client.timeoutMilliseconds)
            {
                if case .end(me.stream, _) = frame { break }
            }
        }
        self.client.close()
        return exit
    }

    private func attempting<Value>(
        _ body: (Subscriber) throws(Failure) -> Value
    ) throws(CommandFailure) -> Value {
        try attempt(self.doing) { () throws(Failure) in try body(self) }
    }
}
