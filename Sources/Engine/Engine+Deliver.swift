internal import Channels
internal import Core
internal import Diagnostics
internal import Wire

extension Engine {
    /// What sending a delivery costs besides its events, in the unit of `EventFilter.work`.
    private static let deliveryWork = 20

    // MARK: Turns

    /// New chunks are in the tail: give them to everybody awake whom they concern. The others learn
    /// by a bookmark how far the log is.
    func deliver(_ chunks: [Chunk], _ exchange: Exchange) {
        guard !exchange.awakeReceivers.isEmpty else { return exchange.skipIndex(to: exchange.head) }
        let before = exchange.index.work
        for chunk in chunks {
            for receiver in exchange.receivers(for: chunk) {
                for subscriber in receiver.awake.members { self.makeDue(subscriber) }
            }
        }
        self.work += exchange.index.work - before
        self.armBookmarks(exchange)
        self.pumpDue()
    }

    /// Sends to one consumer what it may be sent, now or when it is its turn.
    func pump(_ subscriber: Subscriber) {
        self.makeDue(subscriber)
        self.pumpDue()
    }

    private func makeDue(_ subscriber: Subscriber) {
        guard !subscriber.isDue else { return }
        subscriber.isDue = true
        self.due.append(subscriber)
    }

    /// Serves those whose turn it is, until so much was done that others must have theirs: sockets,
    /// commits, other requests. Filters of many receivers, or of one over a long tail, would keep
    /// them waiting for seconds.
    private func pumpDue() {
        guard !self.isResting else { return }
        while let subscriber = self.due.popFirst() {
            subscriber.isDue = false
            self.pumpNow(subscriber)
            guard self.work < self.limits.turnWorkMax else { return self.rest() }
        }
    }

    private func rest() {
        self.isResting = true
        self.restSignal.signal()
    }

    func workLoop() async {
        while await self.restSignal.wait() {
            // Behind everything that waits by now.
            await Task.yield()
            self.isResting = false
            self.work = 0
            self.pumpDue()
        }
    }

    /// Sends to one consumer what it may be sent: from the tail, from pages of the log, or nothing.
    private func pumpNow(_ subscriber: Subscriber) {
        guard let session = subscriber.session else { return }
        let exchange = subscriber.exchange
        while self.hasRoom(session) {
            guard self.work < self.limits.turnWorkMax else { return self.makeDue(subscriber) }
            self.skipQuiet(subscriber)
            let next = subscriber.machine.next(
                head: exchange.head, tailFirst: exchange.tail.first,
                frameBytes: self.limits.frameBytesMax - DeliveryHeader.encodedBytesMax)
            switch next {
            case .nothing:
                return self.armBookmarks(exchange)
            case .tail(let after, let allowance):
                guard let chunk = exchange.tail.chunk(after: after) else { return }
                guard self.send(chunk, after, allowance, fromLog: false, subscriber, session) else {
                    return
                }
            case .log(let after, let allowance):
                if case .nothing(let upto)? = subscriber.receiver.next(inLogAfter: after) {
                    subscriber.machine.skip(to: min(upto, exchange.head))
                    self.work += 1
                    continue
                }
                guard let page = self.pages.chunk(exchange.id, after: after) else {
                    return self.want(after, subscriber)
                }
                self.prefetch([page.pageEnd, page.nextEnd], subscriber)
                guard self.send(page.chunk, after, allowance, fromLog: true, subscriber, session)
                else {
                    return
                }
            }
        }
    }

    private func skipQuiet(_ subscriber: Subscriber) {
        guard let scanned = subscriber.machine.awake?.scanned else { return }
        let end = subscriber.receiver.quiet.end(after: scanned, upto: subscriber.exchange.indexed)
        if end > scanned { subscriber.machine.skip(to: end) }
    }

    /// Cuts a portion of the chunk and sends it. false: this subscriber cannot go on.
    private func send(
        _ chunk: Chunk, _ after: Position, _ allowance: Portion.Allowance, fromLog: Bool,
        _ subscriber: Subscriber, _ session: Session
    ) -> Bool {
        let portion = Portion(
            of: chunk, after: after,
            // The log may already hold more than we were told of.
            upto: min(subscriber.machine.portionEnd(after: after), subscriber.exchange.head),
            matches: self.matches(chunk, after, fromLog: fromLog, subscriber), allowance: allowance)
        if portion.isStuck {
            let failure = Failure(
                .frameTooLarge,
                "the event at position \(portion.upto.next) does not fit into a frame; start the server with a larger "
                    + "--frame-bytes")
            self.end(subscriber, failure, reason: .failed(failure.message))
            return false
        }
        let delivery = subscriber.machine.deliver(portion, fromLog: fromLog, now: self.host.now)
        guard let awake = subscriber.machine.awake, awake.scanned > after else {
            // Never seen; but without this, a mistake of ours would keep the loop busy for ever.
            let failure = Failure(
                .internal, "the delivery after position \(after) made no progress")
            self.logger.error(
                "cannot deliver", [.position: "\(after)", .error: failure.description])
            self.end(subscriber, failure, reason: .failed(failure.message))
            return false
        }
        self.delivered &+= UInt64(portion.events)
        session.delivered &+= UInt64(portion.events)
        self.counters.add(portion.bytes, to: .deliveredBytes)
        self.work += Self.deliveryWork + portion.events / 16
        if let delivery { self.send(delivery, portion, chunk.block, subscriber, session) }
        return true
    }

    private func matches(
        _ chunk: Chunk, _ after: Position, fromLog: Bool, _ subscriber: Subscriber
    ) -> Matches {
        let matches = subscriber.receiver.matches(chunk, &self.work)
        #if DEBUG
            let isSeam = !fromLog && subscriber.machine.awake?.isReplaying == true
            if self.plantedBug == .seamOffByOne, isSeam {
                return matches.without(chunk.index(after: after), of: chunk.count)
            }
        #endif
        return matches
    }

    private func send(
        _ delivery: SubscriberMachine.Delivery, _ portion: Portion?, _ block: ByteBlock?,
        _ subscriber: Subscriber, _ session: Session
    ) {
        guard let stream = subscriber.machine.awake?.consumer.stream else { return }
        let header = DeliveryHeader(
            after: delivery.after, upto: delivery.upto,
            head: subscriber.exchange.head, replay: delivery.replay,
            redelivered: delivery.redelivered)
        if session.takesCompressed, let block, portion?.ranges == [0..<block.count],
            let compressed = self.compressedBlocks.compressed(block, work: &self.work)
        {
            session.send(header, of: block, compressed: compressed, on: stream)
        } else {
            session.send(header, portion, of: block, on: stream)
        }
        self.armAcknowledgement(subscriber)
        self.awaitSocket(subscriber, session)
    }

    // MARK: Bookmarks

    private func armBookmarks(_ exchange: Exchange) {
        guard !exchange.areBookmarksArmed else { return }
        exchange.areBookmarksArmed = true
        self.add(
            .bookmarks(exchange.id),
            at: self.host.now.advanced(byMilliseconds: self.limits.bookmarkMilliseconds))
    }

    /// Tells those for whom nothing matched how far the log is.
    func sendBookmarks(_ id: ExchangeID) {
        guard let exchange = self.exchanges[id] else { return }
        exchange.areBookmarksArmed = false
        for receiver in exchange.awakeReceivers.members {
            for subscriber in receiver.awake.members { self.sendBookmark(subscriber) }
        }
    }

    private func sendBookmark(_ subscriber: Subscriber) {
        // Who has something waiting to be sent is told by that.
        guard let session = subscriber.session, !subscriber.isDue, !self.isCongested(session)
        else { return }
        self.skipQuiet(subscriber)
        guard let bookmark = subscriber.machine.bookmark() else { return }
        self.send(bookmark, nil, nil, subscriber, session)
    }

    // MARK: ON_SEND

    /// What was sent is confirmed when the socket has taken it: looked at until it has.
    private func awaitSocket(_ subscriber: Subscriber, _ session: Session) {
        guard !subscriber.isSocketArmed, subscriber.machine.awaitsSocket,
            let consumer = subscriber.machine.awake?.consumer
        else { return }
        self.confirmWhatSocketTook(subscriber, session)
        subscriber.isSocketArmed = true
        self.add(
            .socket(consumer),
            at: self.host.now.advanced(byMilliseconds: max(1, self.limits.saveMilliseconds)))
    }

    func checkSocket(_ consumer: Consumer) {
        guard let session = self.sessions[consumer.connection],
            let subscriber = session.subscriptions[consumer.stream]
        else { return }
        subscriber.isSocketArmed = false
        self.confirmWhatSocketTook(subscriber, session)
        self.awaitSocket(subscriber, session)
    }

    func confirmWhatSocketTook(_ subscriber: Subscriber, _ session: Session) {
        guard subscriber.machine.awaitsSocket else { return }
        let save = subscriber.machine.socketTook(
            name: subscriber.name, self.takenBytes(of: session), of: session.sentBytes)
        if let save { self.save(save, subscriber.exchange) }
    }

    private func takenBytes(of session: Session) -> UInt64 {
        #if DEBUG
            if self.plantedBug == .confirmedBeforeTaken { return session.sentBytes }
        #endif
        return session.peer.takenBytes
    }

    // MARK: Acknowledgement deadlines

    func armAcknowledgement(_ subscriber: Subscriber) {
        guard !subscriber.isDeadlineArmed, let awake = subscriber.machine.awake,
            let by = awake.acknowledgeBy
        else { return }
        subscriber.isDeadlineArmed = true
        self.add(.acknowledgement(awake.consumer), at: by)
    }

    func checkAcknowledgement(_ consumer: Consumer, now: Instant) {
        guard let subscriber = self.sessions[consumer.connection]?.subscriptions[consumer.stream]
        else { return }
        subscriber.isDeadlineArmed = false
        guard subscriber.machine.isLate(now: now) else {
            return self.armAcknowledgement(subscriber)
        }
        self.end(
            subscriber,
            Failure(
                .tooSlow, "nothing was acknowledged within the time that the subscription asked for"
            ),
            reason: .acknowledgementDeadline)
    }
}

#if DEBUG
    extension Matches {
        /// The same without the event at `index`: for a planted bug.
        fileprivate func without(_ index: Int, of count: Int) -> Matches {
            switch self {
            case .none: .none
            case .all: .some((0..<UInt32(count)).filter { Int($0) != index })
            case .some(let indices): .some(indices.filter { Int($0) != index })
            }
        }
    }
#endif
