import DormouseClient
import EventWorker
import WorkerCommands

/// The workers of the market. Each has its own part of the events and its own position; all of them write to the
/// same tables, and what one of them needs another one to have done, it waits for.
enum MarketWorker: String, CaseIterable {
    case list
    case buy
    case offer
    case creation
    case curation

    var observer: any Observer {
        switch self {
        case .list: ListWorker()
        case .buy: BuyWorker()
        case .offer: OfferWorker()
        case .creation: CreationWorker()
        case .curation: CurationWorker()
        }
    }

    var filter: Filter {
        switch self {
        case .list: Filter("market.list", "market.delist")
        case .buy: Filter("market.buy")
        case .offer: Filter("market.offer", "market.accept", "market.cancel")
        case .creation: Filter("market.collection", "market.token", "market.gather.*")
        case .curation: Filter("market.gallery", "market.exhibit", "market.curation")
        }
    }
}

/// What they have in common.
protocol MarketObserver: Observer {
    func apply(
        _ content: MarketEvent, _ event: Event, _ tables: MarketTables, in transaction: Transaction
    ) throws
}

extension MarketObserver {
    func prepare(_ database: Database) throws { try database.executeAll(MarketTables.schema) }

    /// What happens to one token stays in order. Whatever cannot be read has an order of its own.
    func orderingKey(of event: Event) -> String {
        guard let content = try? MarketEvent(event) else { return "unreadable \(event.position)" }
        return content.token?.text ?? event.key
    }

    func apply(_ events: [Event], in transaction: Transaction) throws {
        let tables = MarketTables(database: transaction.database)
        let contents = try events.map { try MarketEvent($0) }
        // Locked in one order, by all workers.
        for token in Set(contents.compactMap(\.token)).sorted(by: { $0.text < $1.text }) {
            try tables.know(token)
        }
        for (event, content) in zip(events, contents) {
            try self.apply(content, event, tables, in: transaction)
        }
    }

    static func isNotForThis(_ event: Event) -> MarketEvent.Bad {
        MarketEvent.Bad(description: "'\(event.key)' is not for this worker")
    }

    /// Nobody is told before the COMMIT, and nobody twice.
    func notify(
        _ receiver: String, _ kind: String, _ token: MarketEvent.TokenID, price: Amount,
        because cause: Event, in transaction: Transaction
    ) throws {
        let fields = [
            ("receiver", receiver), ("type", kind), ("token", token.text), ("price", price.digits),
        ]
        let text = fields.map { "\"\($0.0)\":\(Listing.quoted($0.1))" }.joined(separator: ",")
        try transaction.publish(
            Event(
                key: "market.notification.\(kind)", payload: Array("{\(text)}".utf8),
                contentType: "application/json"), because: cause)
    }
}

/// Listed and taken back.
struct ListWorker: MarketObserver {
    func apply(
        _ content: MarketEvent, _ event: Event, _ tables: MarketTables, in transaction: Transaction
    ) throws {
        switch content {
        case .list(let list):
            try transaction.execute(
                "INSERT INTO orders VALUES ($1, $2, $3, NULL, $4, $5, $6, 'LISTING', $7)",
                [
                    .text(list.tokenId.text), .text(list.offerId.digits), .text(list.seller),
                    .text(list.price.digits), .text(list.coinTypeInfo.currency),
                    .text(list.tokenAmount.digits), .text(list.timestamp.digits),
                ])
            try tables.add(
                .init(
                    operation: "LIST", source: list.seller, price: list.price,
                    currency: list.coinTypeInfo.currency, time: list.timestamp), list.tokenId,
                event)
        case .delist(let delist):
            let changed = try transaction.execute(
                """
                UPDATE orders SET status = 'CANCELED'
                WHERE token_id = $1 AND offer_id = $2 AND status = 'LISTING'
                """, [.text(delist.tokenId.text), .text(delist.offerId.digits)])
            guard changed.changedCount == 1 else {
                // The listing is for this worker, too: it must not wait behind.
                throw CauseMissing(
                    "order \(delist.offerId.digits) is not listed yet", holdsKey: false)
            }
            try tables.add(
                .init(operation: "CANCEL", source: delist.seller, time: delist.timestamp),
                delist.tokenId, event)
        default: throw Self.isNotForThis(event)
        }
    }
}

/// Bought.
struct BuyWorker: MarketObserver {
    func apply(
        _ content: MarketEvent, _ event: Event, _ tables: MarketTables, in transaction: Transaction
    ) throws {
        guard case .buy(let buy) = content else { throw Self.isNotForThis(event) }
        let changed = try transaction.execute(
            """
            UPDATE orders SET status = 'SOLD', buyer = $3
            WHERE token_id = $1 AND offer_id = $2 AND status = 'LISTING'
            """, [.text(buy.tokenId.text), .text(buy.offerId.digits), .text(buy.buyer)])
        guard changed.changedCount == 1 else {
            throw CauseMissing("order \(buy.offerId.digits) is not listed yet")
        }
        try tables.add(
            .init(
                seller: buy.seller, buyer: buy.buyer, price: buy.price,
                currency: buy.coinTypeInfo.currency, quantity: buy.tokenAmount,
                time: buy.timestamp), buy.tokenId, event)
        try self.notify(
            buy.seller, "MarketOrderFilled", buy.tokenId, price: buy.price, because: event,
            in: transaction)
    }
}

/// Offered for, accepted, and taken back.
struct OfferWorker: MarketObserver {
    func apply(
        _ content: MarketEvent, _ event: Event, _ tables: MarketTables, in transaction: Transaction
    ) throws {
        switch content {
        case .offer(let offer): try self.make(offer, event, tables, in: transaction)
        case .accept(let accepted):
            try self.accept(accepted, in: transaction)
            try tables.add(
                .init(
                    seller: accepted.tokenOwner, buyer: accepted.coinOwner,
                    price: accepted.coinAmountPerToken,
                    currency: accepted.coinTypeInfo.currency, quantity: accepted.tokenAmount,
                    time: accepted.timestamp), accepted.tokenId, event)
            try self.notify(
                accepted.coinOwner, "MarketOfferAccepted", accepted.tokenId,
                price: accepted.coinAmountPerToken, because: event, in: transaction)
        case .cancelOffer(let canceled):
            try self.end(canceled.tokenId, canceled.eventId, "CANCELED", in: transaction)
            try tables.add(
                .init(
                    operation: "CANCEL OFFER", source: canceled.coinOwner, time: canceled.timestamp
                ), canceled.tokenId, event)
        default: throw Self.isNotForThis(event)
        }
    }

    private func make(
        _ offer: MarketEvent.Offer, _ event: Event, _ tables: MarketTables,
        in transaction: Transaction
    ) throws {
        try transaction.execute(
            """
            INSERT INTO offer VALUES
                ($1, $2, $3, $4, $5, $6, 'CREATED', $7, $7::numeric + $8::numeric)
            """,
            [
                .text(offer.tokenId.text), .text(offer.eventId.digits), .text(offer.coinOwner),
                .text(offer.coinAmountPerToken.digits), .text(offer.coinTypeInfo.currency),
                .text(offer.tokenAmount.digits), .text(offer.timestamp.digits),
                .text(offer.expirationTime.digits),
            ])
        try tables.add(
            .init(
                operation: "OFFER", source: offer.coinOwner, price: offer.coinAmountPerToken,
                currency: offer.coinTypeInfo.currency, time: offer.timestamp), offer.tokenId,
            event)
        let owner = try transaction.execute(
            "SELECT owner FROM token WHERE id = $1", [.text(offer.tokenId.text)]
        ).text(0, 0)
        guard let owner else { return }
        try self.notify(
            owner, "MarketOfferReceived", offer.tokenId, price: offer.coinAmountPerToken,
            because: event, in: transaction)
    }

    /// Of an offer for several tokens, some may be taken, and the rest later.
    private func accept(_ accepted: MarketEvent.Offer, in transaction: Transaction) throws {
        if accepted.isOfferEnd ?? true {
            return try self.end(accepted.tokenId, accepted.eventId, "ACCEPTED", in: transaction)
        }
        let changed = try transaction.execute(
            """
            UPDATE offer SET quantity = quantity - $3
            WHERE token_id = $1 AND event_id = $2 AND status = 'CREATED'
            """,
            [
                .text(accepted.tokenId.text), .text(accepted.eventId.digits),
                .text(accepted.tokenAmount.digits),
            ])
        try Self.expectOffer(changed, accepted.eventId)
    }

    private static func expectOffer(_ changed: Rows, _ id: Amount) throws {
        guard changed.changedCount == 1 else {
            throw CauseMissing("offer \(id.digits) is not made yet", holdsKey: false)
        }
    }

    private func end(
        _ token: MarketEvent.TokenID, _ id: Amount, _ status: String, in transaction: Transaction
    ) throws {
        let changed = try transaction.execute(
            """
            UPDATE offer SET status = $3
            WHERE token_id = $1 AND event_id = $2 AND status = 'CREATED'
            """, [.text(token.text), .text(id.digits), .text(status)])
        try Self.expectOffer(changed, id)
    }
}
