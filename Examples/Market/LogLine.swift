import DormouseClient
import EventWorker
import WorkerCommands

/// The way to the Dormouse server, for as long as it takes: what was sent and not answered is sent again under the same sequence, and
/// stored once.
final class LogLine {
    private let settings: MarketSettings
    private let stop: StopSignal
    private let pause = BackOff(first: 100, most: 5_000)
    private var client: BlockingClient?
    private var failures = 0

    init(_ settings: MarketSettings, until stop: StopSignal) {
        self.settings = settings
        self.stop = stop
    }

    /// The newest sequence of a producer; 0: none. nil: the signal was raised.
    func sequence(of producer: String) throws -> UInt64? {
        try self.trying { client in
            try client.producer(producer, exchange: self.settings.exchange).sequence
        }
    }

    /// false: the signal was raised before they were stored.
    func publish(_ batch: PublishBatch, as producer: String, sequence: UInt64) throws -> Bool {
        try self.trying { try $0.publish(batch, as: producer, sequence: sequence) } != nil
    }

    private func trying<Result>(_ body: (BlockingClient) throws -> Result) throws -> Result? {
        while !self.stop.isRaised {
            do {
                let client =
                    try self.client
                    ?? BlockingClient(
                        self.settings.broker,
                        options: ["exchange": self.settings.exchange, "client": "market"])
                self.client = client
                let result = try body(client)
                self.failures = 0
                return result
            } catch let error as DormouseError where error.status == .aborted {
                throw WorkerError(
                    .replaced, "somebody else carries these events into the log: \(error.message)")
            } catch let error as DormouseError where error.status.mayRetry {
                self.client = nil
                self.failures += 1
                let pause = self.pause.milliseconds(
                    after: self.failures, luck: Double.random(in: 0..<1))
                Program.log(
                    "market: the server is in trouble, trying again in \(pause) ms: \(error)")
                _ = self.stop.wait(milliseconds: pause)
            }
        }
        return nil
    }
}
