import DormouseClient
import EventWorker

/// Galleries, offers to show a token there, and what is shown. They come in three streams, so each may come before its cause. What is told of
/// one token waits together: frozen before sold.
struct CurationWorker: MarketObserver {
    func apply(
        _ content: MarketEvent, _ event: Event, _ tables: MarketTables, in transaction: Transaction
    ) throws {
        switch content {
        case .gallery(let gallery): try self.save(gallery, in: transaction)
        case .exhibit(let exhibit):
            try self.expectGallery(exhibit.galleryId, in: transaction)
            if exhibit.eventType == .listed {
                try self.add(exhibit, in: transaction)
            } else {
                try self.change(exhibit, in: transaction)
            }
            try self.tell(exhibit, event, tables, in: transaction)
        case .curationOffer(let offer):
            try self.expectGallery(offer.galleryId, in: transaction)
            try self.save(offer, event, in: transaction)
        default: throw Self.isNotForThis(event)
        }
    }

    private func expectGallery(_ id: Amount, in transaction: Transaction) throws {
        let found = try transaction.execute(
            "SELECT 1 FROM gallery WHERE id = $1", [.text(id.digits)])
        guard found.count == 1 else {
            throw CauseMissing("gallery \(id.digits) is not made yet")
        }
    }

    /// The newest one stands.
    private func save(_ gallery: MarketEvent.Gallery, in transaction: Transaction) throws {
        try transaction.execute(
            """
            INSERT INTO gallery VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET
                (token_id, owner, name, space_type, uri, payees, commission_rates, changed_at) = (
                    excluded.token_id, excluded.owner, excluded.name, excluded.space_type, excluded.uri,
                    excluded.payees, excluded.commission_rates, excluded.changed_at)
            """,
            [
                .text(gallery.id.digits), .text(gallery.tokenId.text), .text(gallery.owner),
                .text(gallery.name), .text(gallery.spaceType), .text(gallery.metadataUri),
                Value(gallery.payees), Value(gallery.commissionRates.map(\.digits)),
                .text(gallery.timestamp.microseconds.digits),
            ])
    }

    // MARK: Exhibits

    private func add(_ exhibit: MarketEvent.Exhibit, in transaction: Transaction) throws {
        try transaction.execute(
            "INSERT INTO exhibit VALUES ($1, $2, $3, $4, $5, NULL, $6, $7, $8, $9, $10, $11, $12)",
            [
                .text(exhibit.id.digits), .text(exhibit.galleryId.digits),
                .text(exhibit.tokenId.text), .text(exhibit.origin), .text(exhibit.curator),
                .text(exhibit.price.digits), .text(exhibit.eventType.status),
                .text(exhibit.location), .text(exhibit.url), .text(exhibit.detail),
                .text(exhibit.timestamp.microseconds.digits),
                .text(exhibit.expiration.microseconds.digits),
            ])
    }

    private func change(_ exhibit: MarketEvent.Exhibit, in transaction: Transaction) throws {
        let changed = try transaction.execute(
            """
            UPDATE exhibit SET status = $2, buyer = $3
            WHERE id = $1 AND status IN ('LISTED', 'FROZEN')
            """,
            [
                .text(exhibit.id.digits), .text(exhibit.eventType.status),
                exhibit.eventType == .sold ? .text(exhibit.owner) : .null,
            ])
        guard changed.changedCount == 1 else {
            throw CauseMissing("exhibit \(exhibit.id.digits) is not listed yet")
        }
    }

    private func tell(
        _ exhibit: MarketEvent.Exhibit, _ event: Event, _ tables: MarketTables,
        in transaction: Transaction
    ) throws {
        let time = exhibit.timestamp.microseconds
        guard exhibit.eventType == .sold else {
            return try tables.add(
                .init(
                    operation: exhibit.eventType == .listed ? "EXHIBIT" : exhibit.eventType.status,
                    source: exhibit.origin, destination: exhibit.curator, price: exhibit.price,
                    time: time), exhibit.tokenId, event)
        }
        try tables.add(
            .init(
                seller: exhibit.origin, buyer: exhibit.owner, price: exhibit.price, currency: nil,
                quantity: .one, time: time), exhibit.tokenId, event)
        try self.notify(
            exhibit.origin, "CurationExhibitSold", exhibit.tokenId, price: exhibit.price,
            because: event, in: transaction)
    }

    // MARK: Offers

    private func save(
        _ offer: MarketEvent.CurationOffer, _ event: Event, in transaction: Transaction
    ) throws {
        if offer.eventType == .created {
            try transaction.execute(
                """
                INSERT INTO curation_offer VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                """,
                [
                    .text(offer.id.digits), .text(offer.galleryId.digits),
                    .text(offer.tokenId.text), .text(offer.source), .text(offer.destination),
                    .text(offer.price.digits), .text(offer.eventType.status), .text(offer.url),
                    .text(offer.detail), .text(offer.offerStartAt.microseconds.digits),
                    .text(offer.offerExpiredAt.microseconds.digits),
                    .text(offer.exhibitExpiredAt.microseconds.digits),
                ])
        } else {
            let changed = try transaction.execute(
                "UPDATE curation_offer SET status = $2 WHERE id = $1 AND status = 'CREATED'",
                [.text(offer.id.digits), .text(offer.eventType.status)])
            guard changed.changedCount == 1 else {
                throw CauseMissing("curation offer \(offer.id.digits) is not made yet")
            }
        }
        let news: (receiver: String, kind: String) =
            switch offer.eventType {
            case .created: (offer.destination, "CurationOfferReceived")
            case .rejected: (offer.source, "CurationOfferRejected")
            case .accepted: (offer.source, "CurationOfferAccepted")
            case .canceled: (offer.destination, "CurationOfferCanceled")
            }
        try self.notify(
            news.receiver, news.kind, offer.tokenId, price: offer.price, because: event,
            in: transaction)
    }
}
