import Core
import DormouseClient

/// Prints what a subscription is sent, and acknowledges what it has printed.
final class Subscriber {
    /// More than this is not needed to keep a server busy; less is sent in vain with a small count.
    private static let creditEvents: UInt32 = 20_000

    private let client: BlockingClient
    private let title: String
    private let format: EventText.Format
    private let interrupts: Interrupts
    private let output = Output()
    /// Events still to be printed; nil: no end.
    private var remaining: UInt64?
    /// Written to standard output, not yet acknowledged.
    private var printed: UInt64 = 0
    private var isConfirmed = false
    /// Whether it was said that the connection is lost.
    private var isLossTold = false

    init(
        title: String, count: UInt64?, _ invocation: Invocation, client: BlockingClient
    ) throws(CommandFailure) {
        self.title = title
        self.remaining = count
        self.format = EventText.Format(invocation, self.output)
        self.client = client
        self.interrupts = try Interrupts()
    }

    func run(_ options: SubscribeOptions) throws(CommandFailure) -> ExitCode {
        var options = options
        options.creditEvents = UInt32(min(self.remaining ?? .max, UInt64(Self.creditEvents)))
        let subscription = try self.open(options)
        while true {
            if let exit = self.interrupts.take() { return try self.leave(subscription, exit) }
            let taken = try self.attempting { () throws(DormouseError) in
                try subscription.next { batch in
                    Result { () throws(CommandFailure) in try self.take(batch) }
                }
            }
            guard let taken else {
                try self.wait(for: subscription)
                continue
            }
            if let exit = try taken.get() { return try self.leave(subscription, exit) }
            try self.acknowledge(subscription)
            if self.remaining == 0 { return try self.leave(subscription, .success) }
        }
    }

    private var doing: String {
        self.isConfirmed
            ? "the subscription \(self.title) has ended" : "cannot subscribe \(self.title)"
    }

    private func attempting<Value>(
        _ body: () throws(DormouseError) -> Value
    ) throws(CommandFailure) -> Value {
        try asking(self.doing, body)
    }

    // MARK: The beginning

    private func open(_ options: SubscribeOptions) throws(CommandFailure) -> BlockingSubscription {
        let deadline = ContinuousClock.now + .milliseconds(self.client.answerMilliseconds)
        let subscription: BlockingSubscription
        var exit: ExitCode?
        do throws(DormouseError) {
            subscription = try self.client.subscribeLater(options)
            while !subscription.isLive {
                exit = self.interrupts.take()
                if exit != nil { break }
                let left = deadline - ContinuousClock.now
                guard left > .zero else {
                    throw DormouseError(
                        .timeout,
                        "the server did not answer within \(self.client.answerMilliseconds) ms")
                }
                try self.client.wait(
                    wake: self.interrupts.descriptor,
                    milliseconds: Int32(left / .milliseconds(1)) + 1)
                // What the server refuses.
                if let end = subscription.endError { throw end }
            }
        } catch {
            var failure = CommandFailure(error, doing: self.doing)
            if error.status == .failedPrecondition {
                failure.message +=
                    ". Leave the filters as they were, or give --replace-config"
            }
            throw failure
        }
        // Nothing came, so there is nothing to confirm.
        if let exit { throw CommandFailure(exit, "") }
        self.isConfirmed = true
        if Output.isTelling {
            Output.tell(
                "subscribed \(self.title) after position \(subscription.position). Ctrl-C ends")
        }
        return subscription
    }

    // MARK: Events

    private func wait(for subscription: BlockingSubscription) throws(CommandFailure) {
        try self.attempting { () throws(DormouseError) in
            try self.client.wait(wake: self.interrupts.descriptor)
        }
        if self.client.isConnected {
            self.isLossTold = false
        } else if !self.isLossTold {
            self.isLossTold = true
            Output.tell(
                "dormouse: " + Text.printable(self.client.lastError.message)
                    + "; connecting again")
        }
    }

    /// Prints a batch; the exit code when a signal ended the waiting for a slow reader. Nothing of the
    /// batch counts as printed then: nobody knows how much of it was read.
    private func take(_ batch: LentBatch) throws(CommandFailure) -> ExitCode? {
        let count = Int(clamping: min(UInt64(batch.count), self.remaining ?? .max))
        self.output.gather { text in
            for index in 0..<count {
                EventText.append(batch[index], as: self.format, to: &text)
            }
        }
        if let exit = try self.flush() { return exit }
        self.remaining = self.remaining.map { $0 - UInt64(count) }
        self.printed = count < batch.count ? batch[count - 1].position : batch.upto
        return nil
    }

    /// Writes the lines. While the reader is slow, the connection is kept alive.
    private func flush() throws(CommandFailure) -> ExitCode? {
        var exit: ExitCode?
        do throws(CommandFailure) {
            try self.output.flush { () throws(CommandFailure) in
                if let signal = self.interrupts.take() {
                    exit = signal
                    throw CommandFailure(signal, "")
                }
                try self.attempting { () throws(DormouseError) in try self.client.process() }
            }
        } catch {
            if exit == nil { throw error }
        }
        return exit
    }

    private func acknowledge(_ subscription: BlockingSubscription) throws(CommandFailure) {
        try self.attempting { () throws(DormouseError) in
            try subscription.acknowledge(upto: self.printed)
        }
    }

    // MARK: The end

    /// Waits until the server has what was acknowledged and the name sleeps. Without a connection
    /// there is nothing to wait for: what was not confirmed comes again next time.
    private func leave(
        _ subscription: BlockingSubscription, _ exit: ExitCode
    ) throws(CommandFailure) -> ExitCode {
        guard self.client.isConnected else { return exit }
        try self.attempting { () throws(DormouseError) in try subscription.end() }
        return exit
    }
}
