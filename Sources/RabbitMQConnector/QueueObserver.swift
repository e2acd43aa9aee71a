import Core
import Diagnostics

/// Looks how much a queue holds, over a connection of its own: on the consumer's, the answer stands behind all messages that
/// are on their way, and these would have to be kept in memory until it comes.
final class QueueObserver {
    /// What was seen; nil: nothing now.
    enum Seen: Hashable {
        /// Messages that wait in the queue.
        case ready(UInt64)
        /// The offset at which a stream's newest chunk begins.
        case newest(UInt64)
    }

    private static let pause = Duration.seconds(5)
    private static let pauseAfterTrouble = Duration.seconds(60)

    private let queue: String
    private let logger: Logger
    private var broker: Broker?
    private var nextAt = ContinuousClock.now

    init(queue: String, logger: Logger) {
        self.queue = queue
        self.logger = logger
    }

    var isDue: Bool { ContinuousClock.now >= self.nextAt }

    func look(at place: BrokerAddress, isStream: Bool) -> Seen? {
        self.nextAt = .now + Self.pause
        do throws(Failure) {
            let broker = try self.connected(place)
            guard isStream else { return .ready(try broker.depth(of: self.queue)) }
            return try broker.newestOffset(of: self.queue).map { .newest($0) }
        } catch {
            self.broker = nil
            self.nextAt = .now + Self.pauseAfterTrouble
            self.logger.warning(
                "cannot look how much the queue holds; its lag is not shown",
                [.source: self.queue, .error: error.message])
            return nil
        }
    }

    /// Where the consumer is connected to.
    private func connected(_ place: BrokerAddress) throws(Failure) -> Broker {
        if let broker = self.broker, broker.place == place { return broker }
        let broker = try Broker(place)
        self.broker = broker
        return broker
    }
}
