internal import Core
internal import Wire

/// What a principal may publish in one exchange under one producer's name. Kept for the next request, which is nearly
/// always for the same, with what it has found out about keys.
final class PublishGate {
    let exchange: ExchangeID
    let producer: Name?
    /// nil: any key.
    private var filter: EventFilter?

    init(
        _ permissions: Permissions, as producer: Name?, in exchange: Exchange
    ) throws(Failure) {
        self.exchange = exchange.id
        self.producer = producer
        switch try permissions.publishing(as: producer, in: exchange.name) {
        case .any: self.filter = nil
        case .matching(let patterns):
            self.filter = EventFilter(try ReceiverConfig(patterns: patterns, headers: []))
        }
    }

    /// The first key that may not be published.
    func refused(_ events: borrowing EncodedEvents) -> [UInt8]? {
        guard self.filter != nil else { return nil }
        return events.firstKey { self.filter?.passes($0) ?? true }
    }
}

extension Engine {
    /// Whether the session may speak for this producer.
    func checkProducer(
        _ producer: Name, _ exchange: Exchange, _ session: Session
    ) throws(Failure) {
        guard let principal = session.permissions.principal else { return }
        _ = try self.publishGate(producer, exchange, session)
        if let failure = exchange.log.refusal(ofProducer: producer, for: principal) {
            throw failure
        }
    }

    /// Whether it may publish events with these keys.
    func checkKeys(
        _ request: borrowing PublishRequest, _ producer: Name?, _ exchange: Exchange,
        _ session: Session
    ) throws(Failure) {
        guard !session.permissions.isUnlimited else { return }
        let gate = try self.publishGate(producer, exchange, session)
        if let key = gate.refused(request.events) {
            throw session.permissions.refusal(ofKey: key, as: producer, in: exchange.name)
        }
    }

    private func publishGate(
        _ producer: Name?, _ exchange: Exchange, _ session: Session
    ) throws(Failure) -> PublishGate {
        if let known = session.publishGate, known.exchange == exchange.id,
            known.producer == producer
        {
            return known
        }
        let made = try PublishGate(session.permissions, as: producer, in: exchange)
        session.publishGate = made
        return made
    }
}
