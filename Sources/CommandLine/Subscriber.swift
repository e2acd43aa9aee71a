import Core
import DormouseClient

/// Prints what a subscription is sent, and acknowledges what it has printed.
final class Subscriber {
    /// More than this is not needed to keep a server busy; less is sent in vain with a small count.
    private static let creditEvents: UInt32 = 20_000

    /// A bar for whoever waits at the terminal while they go elsewhere.
    private struct Replay {
        var progress: Progress
        let after: UInt64
        let head: UInt64
        var events: UInt64 = 0
    }

    private let client: BlockingClient
    private let title: String
    private let format: EventText.Format
    private let isJSON: Bool
    private let invocation: Invocation
    /// Of the old events, until the first are printed that were new at the beginning.
    private var replay: Replay?
    private var hasReplayBegun = false
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
        self.isJSON = invocation.has("json")
        self.invocation = invocation
        self.client = client
        self.interrupts = try Interrupts()
    }

    func run(_ options: SubscribeOptions) throws(CommandFailure) -> ExitCode {
        var options = options
        options.creditEvents = UInt32(min(self.remaining ?? .max, UInt64(Self.creditEvents)))
        let subscription = try self.open(options)
        defer { self.replay?.progress.end() }
        self.printed = subscription.position
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
            let exit = try taken.get()
            try self.acknowledge(subscription)
            if let exit { return try self.leave(subscription, exit) }
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
        do throws(CommandFailure) {
            return try asking(self.doing, body)
        } catch {
            throw self.advised(error)
        }
    }

    /// What the server says is for whoever writes clients.
    private func advised(_ failure: CommandFailure) -> CommandFailure {
        var failure = failure
        switch failure.code {
        case .failedPrecondition:
            failure.advise("leave the filters as they were, or give --replace-config")
        case .positionLost where self.isConfirmed:
            failure.advise(
                "run it again to go on where the name is, or give --from first --reposition to begin anew"
            )
        case .positionLost:
            failure.advise(
                "give --from first --reposition to go on with what is left, or see 'dormouse explain'"
            )
        default: break
        }
        return failure
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
            throw self.advised(CommandFailure(error, doing: self.doing))
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
            var loss = CommandFailure(self.client.lastError)
            loss.advise("connecting again")
            loss.tell(asJSON: self.isJSON, goesOn: true)
        }
    }

    /// Prints a batch; the exit code when a signal ended the waiting for a slow reader. What stands in the
    /// pipe as a whole line counts as printed then.
    private func take(_ batch: LentBatch) throws(CommandFailure) -> ExitCode? {
        let count = Int(clamping: min(UInt64(batch.count), self.remaining ?? .max))
        self.output.gather { text in
            for index in 0..<count {
                EventText.append(batch[index], as: self.format, to: &text)
            }
        }
        if let exit = try self.flush() {
            self.countWritten(batch, count)
            return exit
        }
        self.remaining = self.remaining.map { $0 - UInt64(count) }
        self.showReplay(batch, count)
        self.printed = count < batch.count ? batch[count - 1].position : batch.upto
        return nil
    }

    /// Before `printed` moves on.
    private func showReplay(_ batch: LentBatch, _ count: Int) {
        if !self.hasReplayBegun {
            self.hasReplayBegun = true
            guard batch.head > self.printed else { return }
            self.replay = Replay(
                progress: Progress(
                    self.invocation, "replaying", of: batch.head - self.printed,
                    besides: self.output), after: self.printed, head: batch.head)
        }
        guard var replay = self.replay else { return }
        replay.events += UInt64(count)
        if batch.upto < replay.head, self.remaining != 0 {
            replay.progress.update(batch.upto - replay.after, events: replay.events)
            self.replay = replay
        } else {
            replay.progress.end()
            self.replay = nil
        }
    }

    /// After an interruption: the events whose lines are written to their ends.
    private func countWritten(_ batch: LentBatch, _ count: Int) {
        var text: [UInt8] = []
        for index in 0..<count {
            EventText.append(batch[index], as: self.format, to: &text)
            guard text.count <= self.output.written else { return }
            self.printed = batch[index].position
        }
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
