internal import CDormouse

extension Connection {
    func open(_ state: SubscriptionState, _ options: SubscribeOptions) async throws(DormouseError) {
        guard try self.begin(state, options) else {
            throw DormouseError(.closed, "the subscription has ended; make another one")
        }
        let result = await self.until { _ -> Result<Void, DormouseError>? in
            guard case .open(let subscription) = state.phase else {
                return .failure(DormouseError(.closed, "the subscription was ended meanwhile"))
            }
            if let error = Self.end(of: subscription) { return .failure(error) }
            return dormouse_is_live(subscription) ? .success(()) : nil
        }
        guard let result else { throw DormouseError(.cancelled, "the task was cancelled") }
        try result.get()
    }

    /// nil: ended by us, or the task was cancelled.
    func next(_ state: SubscriptionState, _ options: SubscribeOptions) async throws(DormouseError)
        -> Batch?
    {
        guard try self.begin(state, options) else { return nil }
        let result = await self.until { _ -> Result<Batch?, DormouseError>? in
            guard case .open(let subscription) = state.phase else { return .success(nil) }
            var batch = dormouse_batch()
            switch dormouse_next_batch(subscription, &batch, 0) {
            case DORMOUSE_OK: return .success(Batch(batch))
            case DORMOUSE_TIMEOUT: return nil
            case let status:
                return .failure(Self.end(of: subscription) ?? DormouseError(.init(status), ""))
            }
        }
        return try result?.get()
    }

    func acknowledge(_ state: SubscriptionState, upto position: UInt64) throws(DormouseError) {
        guard case .open(let subscription) = state.phase else {
            throw DormouseError(.closed, "the subscription has ended")
        }
        try self.handle.check(dormouse_acknowledge(subscription, position))
    }

    func end(_ state: SubscriptionState) {
        if case .open(let subscription) = state.phase { dormouse_unsubscribe(subscription) }
        state.phase = .ended
    }

    /// false: it has ended.
    private func begin(_ state: SubscriptionState, _ options: SubscribeOptions)
        throws(DormouseError) -> Bool
    {
        switch state.phase {
        case .open: return true
        case .ended: return false
        case .new: break
        }
        let loan = Loan()
        var made: OpaquePointer?
        var request = options.request(loan)
        let status = dormouse_subscribe(self.handle.pointer, &request, 0, &made)
        loan.end()
        try self.handle.check(status)
        if let made { state.phase = .open(made) }
        return made != nil
    }

    static func end(of subscription: OpaquePointer) -> DormouseError? {
        let status = dormouse_end_status(subscription)
        if status == DORMOUSE_OK { return nil }
        let text = dormouse_end_error(subscription).map { String(cString: $0) } ?? ""
        return DormouseError(.init(status), text)
    }
}

extension SubscribeOptions {
    func request(_ loan: Loan) -> dormouse_subscribe_options {
        var request = dormouse_subscribe_options()
        request.struct_size = MemoryLayout<dormouse_subscribe_options>.size
        request.name = self.name.flatMap { loan.text($0) }
        request.exchange = self.exchange.flatMap { loan.text($0) }
        request.patterns = loan.array(self.filter.patterns.map { loan.text($0) })
        request.pattern_count = self.filter.patterns.count
        request.header_matches = loan.matches(self.filter.headers)
        request.header_match_count = self.filter.headers.count
        (request.start, request.start_value) = self.start.code
        request.reposition = self.reposition
        request.replace_config = self.replaceConfig
        request.acknowledge_on_send = self.acknowledgeOnSend
        request.credit_events = self.creditEvents
        request.credit_bytes = self.creditBytes
        request.acknowledge_within_ms = self.acknowledgeWithin
        request.last_seen = self.lastSeen
        request.last_incarnation = loan.bytes(self.lastIncarnation)
        return request
    }
}

extension Batch {
    fileprivate init(_ batch: dormouse_batch) {
        let events = UnsafeBufferPointer(start: batch.events, count: batch.event_count)
        self.init(
            events: events.map { Event($0) }, upto: batch.upto, head: batch.head,
            isReplay: batch.replay, isRedelivered: batch.redelivered)
    }
}
