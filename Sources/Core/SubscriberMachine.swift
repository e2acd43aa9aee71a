// A subscriber: a durable name in an exchange with the position up to which its consumer has
// confirmed.
//
//            wake                          sleep (asked, connection gone, deadline, taken over, drained)
//   sleeping ─────▶ awake ─────────────────────────────────────────────────────────────────▶ sleeping
//                    │ ▲ wake by a newer consumer: the older one ends with TAKEN_OVER
//                    └─┘
//
// Invariants while awake: confirmed ≤ announced ≤ scanned ≤ head; each delivery's `after` is the
// `announced` of the one before. The session epoch grows with every wake and every seek; an input
// with an older one changes nothing.

/// The client's end of a subscription.
package struct Consumer: Hashable, Sendable {
    package let connection: ConnectionID
    package let stream: StreamID

    package init(connection: ConnectionID, stream: StreamID) {
        self.connection = connection
        self.stream = stream
    }
}

package enum AcknowledgementMode: Hashable, Sendable {
    /// Only Acknowledge moves the confirmed position.
    case manual
    /// The socket taking the bytes does.
    case onSend
}

/// Why a subscriber sleeps: for `List`, for people, and for the status that its stream ended with.
package enum SleepReason: Hashable, Sendable {
    case restored
    case created
    case stopped
    case cancelled
    case connectionClosed(String)
    case takenOver
    case acknowledgementDeadline
    case moved
    case draining
    case exchangeLost
    /// Its principal may not receive this any more.
    case notGranted(String)
    case failed(String)

    package var text: String {
        switch self {
        case .restored: "the server started and no consumer came yet"
        case .created: "no consumer came yet"
        case .stopped: "stopped by name"
        case .cancelled: "its consumer cancelled the stream"
        case .connectionClosed(let reason): "its connection closed: \(reason)"
        case .takenOver: "taken over by a newer consumer"
        case .acknowledgementDeadline: "its consumer did not acknowledge in time"
        case .moved: "its position was changed by Seek"
        case .draining: "the server stopped"
        case .exchangeLost: "another server took the exchange"
        case .notGranted(let reason): "its principal lost the right to it: \(reason)"
        case .failed(let reason): reason
        }
    }
}

/// What a consumer asked for when it subscribed.
package struct ConsumerSettings: Hashable, Sendable {
    package var acknowledgement: AcknowledgementMode
    package var creditEvents: UInt32
    package var creditBytes: UInt32
    /// 0 = no deadline.
    package var acknowledgeWithinMilliseconds: UInt32
    /// The highest position that this consumer says it has processed.
    package var lastSeen: Position

    package init(
        acknowledgement: AcknowledgementMode, creditEvents: UInt32, creditBytes: UInt32,
        acknowledgeWithinMilliseconds: UInt32 = 0, lastSeen: Position = .origin
    ) {
        self.acknowledgement = acknowledgement
        self.creditEvents = creditEvents
        self.creditBytes = creditBytes
        self.acknowledgeWithinMilliseconds = acknowledgeWithinMilliseconds
        self.lastSeen = lastSeen
    }
}

package struct SubscriberMachine: Hashable, Sendable {
    package struct Awake: Hashable, Sendable {
        package let consumer: Consumer
        package let settings: ConsumerSettings
        /// `upto` of the newest delivery: what the consumer knows.
        package var announced: Position
        /// Everything up to here was looked at; between `announced` and here nothing matched.
        package var scanned: Position
        package var creditEvents: Int
        package var creditBytes: Int
        /// `upto` of the newest delivery that held events: what an acknowledgement is owed for.
        package var owed = Position.origin
        /// Past this without an acknowledgement, the subscriber goes to sleep.
        package var acknowledgeBy: Instant?
        /// The newest delivery came from the log, not from the tail.
        package var isReplaying = false
        /// ON_SEND: what the socket is still to take.
        package var handing: Handing?
    }

    /// Everything up to `upto` is within the first `bytes` that were sent on the connection.
    package struct Handing: Hashable, Sendable {
        package let upto: Position
        package let bytes: UInt64
    }

    package enum State: Hashable, Sendable {
        case sleeping(SleepReason)
        case awake(Awake)
    }

    package private(set) var state: State
    package private(set) var confirmed: Position
    package private(set) var epoch: SessionEpoch
    /// The highest position that this name may have been sent.
    package private(set) var seen: Position
    package private(set) var pause: Pause?
    /// In this state since.
    package private(set) var since: Timestamp
    /// Events, since the server started.
    package private(set) var delivered: UInt64 = 0
    /// Positions that were confirmed, whether their events matched or not, since the server
    /// started.
    package private(set) var acknowledged: UInt64 = 0

    /// A new subscriber, confirmed up to `position`.
    package init(createdAt position: Position, now: Timestamp) {
        self.state = .sleeping(.created)
        self.confirmed = position
        self.epoch = SessionEpoch(startingAt: now)
        self.seen = position
        self.since = now
    }

    /// A stored one. What it was sent before is not known, so everything up to `head` may have
    /// been.
    package init(
        restored position: Position, epoch: SessionEpoch, pause: Pause?, head: Position,
        now: Timestamp
    ) {
        self.state = .sleeping(.restored)
        self.confirmed = min(position, head)
        self.epoch = max(epoch, SessionEpoch(startingAt: now))
        self.seen = head
        self.pause = pause
        self.since = now
    }

    package var awake: Awake? {
        switch self.state {
        case .awake(let awake): awake
        case .sleeping: nil
        }
    }

    // MARK: Waking and sleeping

    package struct WakeAction: Hashable, Sendable {
        /// This consumer's stream ends with TAKEN_OVER.
        package let replaced: Consumer?
        /// The first delivery's `after`.
        package let after: Position
        package let save: PositionSave?
    }

    /// A consumer has come. `start` moves the subscriber first: everything after it is sent.
    package mutating func wake(
        name: Name?, consumer: Consumer, settings: ConsumerSettings, start: Position?,
        now: Timestamp
    ) -> WakeAction {
        let replaced = self.awake?.consumer
        self.epoch = self.epoch.next
        if let start { self.confirmed = start }
        self.seen = max(self.seen, settings.lastSeen)
        self.state = .awake(
            Awake(
                consumer: consumer, settings: settings, announced: self.confirmed,
                scanned: self.confirmed,
                creditEvents: min(Int(settings.creditEvents), Int(Int32.max)),
                creditBytes: min(Int(settings.creditBytes), Int(Int32.max))))
        self.since = now
        return WakeAction(
            replaced: replaced, after: self.confirmed, save: start == nil ? nil : self.save(name))
    }

    /// The consumer stopped, vanished, timed out or was replaced. Ignored when it is not the one
    /// that woke us: a late stop of an earlier consumer must not put a newer one to sleep.
    package mutating func sleep(consumer: Consumer, reason: SleepReason, now: Timestamp) -> Bool {
        switch self.state {
        case .awake(let awake) where awake.consumer == consumer:
            self.state = .sleeping(reason)
            self.since = now
            return true
        case .awake, .sleeping:
            return false
        }
    }

    /// An administrator moves the position of a sleeping subscriber; the shell has put it to sleep
    /// before.
    package mutating func seek(name: Name?, to position: Position) -> PositionSave? {
        switch self.state {
        case .awake:
            return nil
        case .sleeping:
            self.epoch = self.epoch.next
            self.confirmed = position
            return self.save(name)
        }
    }

    /// What was asked of the store in earlier epochs is not to have an effect any more.
    package mutating func renew() {
        self.epoch = self.epoch.next
    }

    package mutating func setPause(_ pause: Pause?, now: Timestamp) {
        self.pause = pause
        self.since = now
    }

    // MARK: Flow

    /// Adds to the credit; saturates, so that no sequence of grants can wrap it.
    package mutating func grant(consumer: Consumer, events: UInt32, bytes: UInt32) -> Bool {
        self.withAwake(consumer) { awake in
            awake.creditEvents = min(awake.creditEvents + Int(events), Int(Int32.max))
            awake.creditBytes = min(awake.creditBytes + Int(bytes), Int(Int32.max))
        }
    }

    package enum AcknowledgeAction: Hashable, Sendable {
        case moved(PositionSave?)
        case unchanged
        case refused(Failure)
    }

    /// Everything up to `position` is processed. Cumulative; never beyond what was sent.
    package mutating func acknowledge(
        name: Name?, consumer: Consumer, upto position: Position, now: Instant
    ) -> AcknowledgeAction {
        guard case .awake(var awake) = self.state, awake.consumer == consumer else {
            return .refused(Failure(.notFound, "there is no such subscription; subscribe again"))
        }
        guard position <= awake.announced else {
            return .refused(
                Failure(
                    .outOfRange,
                    "position \(position) is beyond what was sent (\(awake.announced)); acknowledge at most the "
                        + "upto of a delivery that came"))
        }
        guard position > self.confirmed else { return .unchanged }
        self.acknowledged &+= position.distance(from: self.confirmed)
        self.confirmed = position
        awake.acknowledgeBy = position < awake.owed ? awake.settings.deadline(from: now) : nil
        self.state = .awake(awake)
        return .moved(self.save(name))
    }

    /// Nothing up to `position` matches, which was found out without looking.
    package mutating func skip(to position: Position) {
        guard case .awake(var awake) = self.state, self.pause == nil, position > awake.scanned
        else { return }
        awake.scanned = position
        awake.isReplaying = false
        self.state = .awake(awake)
    }

    package enum Next: Hashable, Sendable {
        case nothing
        /// The next events are in memory.
        case tail(after: Position, Portion.Allowance)
        /// They must be read from the log.
        case log(after: Position, Portion.Allowance)
    }

    /// What to send next. `tailFirst` is the oldest position in memory. This comparison is the
    /// whole seam between replay and live.
    package func next(head: Position, tailFirst: Position?, frameBytes: Int) -> Next {
        guard case .awake(let awake) = self.state, self.pause == nil, awake.scanned < head,
            awake.creditEvents > 0, awake.creditBytes > 0
        else { return .nothing }
        let allowance = Portion.Allowance(
            events: awake.creditEvents, cost: awake.creditBytes, frameBytes: frameBytes)
        if let tailFirst, awake.scanned.next >= tailFirst {
            return .tail(after: awake.scanned, allowance)
        }
        return .log(after: awake.scanned, allowance)
    }

    /// Where a portion for this subscriber must end at the latest: what the name may have seen is
    /// marked, so it is not mixed with what it cannot have seen.
    package func portionEnd(after position: Position) -> Position {
        position < self.seen ? self.seen : .last
    }

    package struct Delivery: Hashable, Sendable {
        package let after: Position
        package let upto: Position
        package let replay: Bool
        package let redelivered: Bool
    }

    /// A portion of a chunk was cut for this subscriber: account for it. nil: nothing matched,
    /// nothing is sent now.
    package mutating func deliver(_ portion: Portion, fromLog: Bool, now: Instant) -> Delivery? {
        // A portion that was cut for an earlier consumer would leave a hole before it.
        guard case .awake(var awake) = self.state, portion.after == awake.scanned else {
            return nil
        }
        awake.scanned = portion.upto
        awake.isReplaying = fromLog
        guard portion.events > 0 else {
            self.state = .awake(awake)
            return nil
        }
        awake.creditEvents -= portion.events
        awake.creditBytes -= portion.cost
        self.delivered &+= UInt64(portion.events)
        awake.owed = portion.upto
        if awake.settings.acknowledgement == .manual, awake.acknowledgeBy == nil {
            awake.acknowledgeBy = awake.settings.deadline(from: now)
        }
        // What lies between `announced` and the portion's beginning matched nothing, so only the
        // portion itself tells whether these events may have been sent before.
        return self.announce(&awake, fromLog: fromLog, redelivered: portion.after < self.seen)
    }

    /// Tells an idle consumer how far the log is: an empty delivery, when it is behind what was
    /// scanned.
    package mutating func bookmark() -> Delivery? {
        guard case .awake(var awake) = self.state, awake.scanned > awake.announced else {
            return nil
        }
        return self.announce(&awake, fromLog: awake.isReplaying, redelivered: false)
    }

    private mutating func announce(
        _ awake: inout Awake, fromLog: Bool, redelivered: Bool
    ) -> Delivery {
        let delivery = Delivery(
            after: awake.announced, upto: awake.scanned, replay: fromLog, redelivered: redelivered)
        awake.announced = awake.scanned
        self.seen = max(self.seen, awake.scanned)
        self.state = .awake(awake)
        return delivery
    }

    /// Whether something was sent that is confirmed as soon as the socket has taken it.
    package var awaitsSocket: Bool {
        guard let awake = self.awake, awake.settings.acknowledgement == .onSend else {
            return false
        }
        return awake.announced > self.confirmed
    }

    /// ON_SEND: the socket has taken `taken` of the `sent` bytes that its connection was sent so
    /// far. Looked at now and then; one mark is enough: what is sent after it waits for the next.
    package mutating func socketTook(name: Name?, _ taken: UInt64, of sent: UInt64) -> PositionSave?
    {
        guard self.awaitsSocket, case .awake(var awake) = self.state else { return nil }
        let now = Handing(upto: awake.announced, bytes: sent)
        let mark = taken >= sent ? now : awake.handing ?? now
        guard taken >= mark.bytes else {
            awake.handing = mark
            self.state = .awake(awake)
            return nil
        }
        awake.handing = taken >= sent ? nil : now
        self.state = .awake(awake)
        guard mark.upto > self.confirmed else { return nil }
        self.acknowledged &+= mark.upto.distance(from: self.confirmed)
        self.confirmed = mark.upto
        return self.save(name)
    }

    /// Whether the acknowledgement deadline has passed.
    package func isLate(now: Instant) -> Bool {
        guard let by = self.awake?.acknowledgeBy else { return false }
        return by <= now
    }

    // MARK: Helpers

    private func save(_ name: Name?) -> PositionSave? {
        name.map { PositionSave(name: $0, position: self.confirmed, epoch: self.epoch) }
    }

    private mutating func withAwake(_ consumer: Consumer, _ change: (inout Awake) -> Void) -> Bool {
        guard case .awake(var awake) = self.state, awake.consumer == consumer else { return false }
        change(&awake)
        self.state = .awake(awake)
        return true
    }
}

extension SessionEpoch {
    /// Where the epochs of a life begin: with the time, so that a save that is still under way from
    /// an earlier life of the name, or from an earlier server, is older than everything of this
    /// one.
    fileprivate init(startingAt now: Timestamp) {
        self.init(rawValue: Int64(clamping: now.rawValue))
    }
}

extension ConsumerSettings {
    fileprivate func deadline(from now: Instant) -> Instant? {
        self.acknowledgeWithinMilliseconds == 0
            ? nil : now.advanced(byMilliseconds: Int(self.acknowledgeWithinMilliseconds))
    }
}
