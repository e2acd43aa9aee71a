@testable import Core

func consumer(_ connection: UInt64, stream: UInt32 = 1) -> Consumer {
    Consumer(
        connection: ConnectionID(rawValue: connection), stream: StreamID(rawValue: stream))
}

func settings(
    _ acknowledgement: AcknowledgementMode = .manual, events: UInt32 = 100,
    bytes: UInt32 = 10_000, within: UInt32 = 0, lastSeen: UInt64 = 0
) -> ConsumerSettings {
    ConsumerSettings(
        acknowledgement: acknowledgement, creditEvents: events, creditBytes: bytes,
        acknowledgeWithinMilliseconds: within, lastSeen: Position(lastSeen))
}

let wall = Timestamp.zero

extension SubscriberMachine {
    /// Wakes for consumer 1 unless told otherwise.
    @discardableResult
    mutating func wake(
        by who: Consumer = consumer(1), _ settings: ConsumerSettings = settings(),
        start: UInt64? = nil
    ) -> WakeAction {
        self.wake(
            name: try? Name("s"), consumer: who, settings: settings,
            start: start.map { Position($0) },
            now: wall)
    }

    /// Cuts a portion of a chunk of one-letter keys after what was scanned and delivers it.
    mutating func deliver(
        _ chunk: Chunk, _ matches: Matches = .all, fromLog: Bool = false, atMilliseconds: Int = 0
    ) throws -> Delivery? {
        let after = self.awake?.scanned ?? .origin
        let portion = Portion(
            of: chunk, after: after, upto: self.portionEnd(after: after), matches: matches,
            allowance: Portion.Allowance(events: 1_000, cost: 100_000, frameBytes: 100_000))
        return self.deliver(portion, fromLog: fromLog, now: at(atMilliseconds))
    }

    mutating func took(_ bytes: UInt64, of sent: UInt64) -> PositionSave? {
        self.socketTook(name: try? Name("s"), bytes, of: sent)
    }

    mutating func acknowledge(
        _ upto: UInt64, by who: Consumer = consumer(1), atMilliseconds: Int = 0
    ) -> AcknowledgeAction {
        self.acknowledge(
            name: try? Name("s"), consumer: who, upto: Position(upto), now: at(atMilliseconds))
    }
}

func save(_ position: UInt64, epoch: Int64) throws -> PositionSave {
    PositionSave(
        name: try Name("s"), position: Position(position), epoch: SessionEpoch(rawValue: epoch))
}

func delivery(
    _ after: UInt64, _ upto: UInt64, replay: Bool = false, redelivered: Bool = false
) -> SubscriberMachine.Delivery {
    SubscriberMachine.Delivery(
        after: Position(after), upto: Position(upto), replay: replay, redelivered: redelivered)
}
