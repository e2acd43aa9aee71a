import EventWorker
import WorkerCommands

/// What the tables hold. Amounts stay the text that the database writes: they may be larger than any integer here.
enum MarketLists: String, CaseIterable {
    case orders
    case offers
    case sales
    case tokens
    case activities
    case collections
    case galleries
    case exhibits
    case curations

    private var columns: [String] {
        switch self {
        case .orders: ["token", "offer", "status", "price", "currency", "seller", "buyer"]
        case .offers: ["token", "offer", "status", "price", "currency", "offerer"]
        case .sales: ["token", "price", "currency", "seller", "buyer"]
        case .tokens: ["token", "owner"]
        case .activities:
            ["position", "operation", "token", "price", "source", "destination", "version"]
        case .collections: ["collection", "creator", "maximum", "tokens", "sales", "volume"]
        case .galleries: ["gallery", "name", "owner", "exhibits"]
        case .exhibits: ["exhibit", "gallery", "token", "status", "price", "origin", "buyer"]
        case .curations: ["offer", "gallery", "token", "status", "price", "source", "destination"]
        }
    }

    private var query: String {
        switch self {
        case .orders:
            """
            SELECT t.name, o.offer_id, o.status, o.price, o.currency, o.seller, o.buyer
            FROM orders o JOIN token t ON t.id = o.token_id ORDER BY o.offer_id, o.token_id
            """
        case .offers:
            """
            SELECT t.name, o.event_id, o.status, o.price, o.currency, o.offerer
            FROM offer o JOIN token t ON t.id = o.token_id ORDER BY o.event_id, o.token_id
            """
        case .sales:
            """
            SELECT t.name, s.price, s.currency, s.seller, s.buyer
            FROM sale s JOIN token t ON t.id = s.token_id ORDER BY s.sold_at, s.position
            """
        case .tokens: "SELECT name, owner FROM token ORDER BY id"
        case .activities:
            """
            SELECT a.position, a.operation, t.name, a.price, a.source, a.destination, a.ledger_version
            FROM activity a JOIN token t ON t.id = a.token_id ORDER BY a.happened_at, a.position
            """
        case .collections:
            """
            SELECT c.name, c.creator, c.maximum,
                (SELECT count(*) FROM token t WHERE t.collection_id = c.id), c.sales, c.volume
            FROM collection c ORDER BY c.id
            """
        case .galleries:
            """
            SELECT g.id, g.name, g.owner, (SELECT count(*) FROM exhibit e WHERE e.gallery_id = g.id)
            FROM gallery g ORDER BY g.id
            """
        case .exhibits:
            """
            SELECT e.id, g.name, t.name, e.status, e.price, e.origin, e.buyer FROM exhibit e
            JOIN gallery g ON g.id = e.gallery_id JOIN token t ON t.id = e.token_id ORDER BY e.id
            """
        case .curations:
            """
            SELECT o.id, g.name, t.name, o.status, o.price, o.source, o.destination
            FROM curation_offer o JOIN gallery g ON g.id = o.gallery_id
            JOIN token t ON t.id = o.token_id ORDER BY o.id
            """
        }
    }

    func listing(_ database: Database) throws -> Listing {
        var listing = Listing(self.columns)
        let rows = try database.execute(self.query)
        for row in 0..<rows.count {
            listing.add(
                self.columns.indices.map { column in
                    rows.text(row, column).map { .text($0) } ?? .none
                })
        }
        return listing
    }
}
