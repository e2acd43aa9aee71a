import DormouseClient
import EventWorker

/// The tables that all workers of the market write to. Amounts are numeric without a fraction.
struct MarketTables {
    static let schema = """
        CREATE TABLE IF NOT EXISTS collection (
            id text PRIMARY KEY, creator text NOT NULL, name text NOT NULL,
            description text NOT NULL DEFAULT '', uri text NOT NULL DEFAULT '',
            maximum numeric(78,0), volume numeric(78,0) NOT NULL DEFAULT 0,
            sales bigint NOT NULL DEFAULT 0);
        CREATE TABLE IF NOT EXISTS token (
            id text PRIMARY KEY, collection_id text NOT NULL REFERENCES collection,
            creator text NOT NULL, name text NOT NULL, property_version numeric(78,0) NOT NULL,
            owner text, uri text NOT NULL DEFAULT '', description text NOT NULL DEFAULT '');
        CREATE TABLE IF NOT EXISTS orders (
            token_id text NOT NULL REFERENCES token, offer_id numeric(78,0) NOT NULL,
            seller text NOT NULL, buyer text, price numeric(78,0) NOT NULL, currency text NOT NULL,
            quantity numeric(78,0) NOT NULL,
            status text NOT NULL CHECK (status IN ('LISTING', 'SOLD', 'CANCELED')),
            created_at numeric(78,0) NOT NULL, PRIMARY KEY (token_id, offer_id));
        CREATE TABLE IF NOT EXISTS offer (
            token_id text NOT NULL REFERENCES token, event_id numeric(78,0) NOT NULL,
            offerer text NOT NULL, price numeric(78,0) NOT NULL, currency text NOT NULL,
            quantity numeric(78,0) NOT NULL,
            status text NOT NULL CHECK (status IN ('CREATED', 'ACCEPTED', 'CANCELED')),
            opened_at numeric(78,0) NOT NULL, ended_at numeric(78,0) NOT NULL,
            PRIMARY KEY (token_id, event_id));
        CREATE TABLE IF NOT EXISTS sale (
            position bigint PRIMARY KEY, token_id text NOT NULL REFERENCES token,
            seller text, buyer text NOT NULL, price numeric(78,0) NOT NULL, currency text NOT NULL,
            quantity numeric(78,0) NOT NULL, sold_at numeric(78,0) NOT NULL);
        CREATE TABLE IF NOT EXISTS activity (
            position bigint PRIMARY KEY, operation text NOT NULL, token_id text NOT NULL REFERENCES token,
            source text, destination text, price numeric(78,0), currency text,
            ledger_version numeric(78,0), happened_at numeric(78,0) NOT NULL);
        CREATE TABLE IF NOT EXISTS gathered (
            account text NOT NULL, what text NOT NULL, next numeric(78,0) NOT NULL,
            PRIMARY KEY (account, what))
        """

    let database: Database

    /// The token of an event may be one that nobody has told of; what is known of it is written down then.
    /// Tokens and collections are made in the same order by all workers, so that they do not wait for each other in a circle.
    func know(_ token: MarketEvent.TokenID) throws {
        let data = token.tokenDataId
        try self.database.execute(
            "INSERT INTO collection (id, creator, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            [.text(token.collection), .text(data.creator), .text(data.collection)])
        try self.database.execute(
            """
            INSERT INTO token (id, collection_id, creator, name, property_version)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
            """,
            [
                .text(token.text), .text(token.collection), .text(data.creator), .text(data.name),
                .text(token.propertyVersion),
            ])
    }

    struct Activity {
        let operation: String
        var source: String?
        var destination: String?
        var price: Amount?
        var currency: String?
        let time: Amount
    }

    func add(_ activity: Activity, _ token: MarketEvent.TokenID, _ event: Event) throws {
        try self.database.execute(
            "INSERT INTO activity VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                Value(event.position), .text(activity.operation), .text(token.text),
                Value(activity.source), Value(activity.destination),
                Value(activity.price?.digits), Value(activity.currency),
                Value(MarketEvent.version(event)), .text(activity.time.digits),
            ])
    }

    struct Sale {
        let seller: String?
        let buyer: String
        let price: Amount
        let currency: String
        let quantity: Amount
        let time: Amount
    }

    /// A sale, whoever began it: the token has another owner, and its collection has sold more.
    func add(_ sale: Sale, _ token: MarketEvent.TokenID, _ event: Event) throws {
        try self.database.execute(
            "INSERT INTO sale VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                Value(event.position), .text(token.text), Value(sale.seller), .text(sale.buyer),
                .text(sale.price.digits), .text(sale.currency), .text(sale.quantity.digits),
                .text(sale.time.digits),
            ])
        // Two workers sell tokens, each at its own pace: the owner is who bought it last on the chain.
        try self.database.execute(
            """
            UPDATE token SET owner = $2 WHERE id = $1
                AND NOT EXISTS (SELECT 1 FROM sale WHERE token_id = $1 AND sold_at > $3::numeric)
            """, [.text(token.text), .text(sale.buyer), .text(sale.time.digits)])
        try self.database.execute(
            """
            UPDATE collection SET volume = volume + $2::numeric * $3::numeric, sales = sales + 1
            WHERE id = $1
            """, [.text(token.collection), .text(sale.price.digits), .text(sale.quantity.digits)])
        try self.add(
            Activity(
                operation: "SALE", source: sale.seller, destination: sale.buyer, price: sale.price,
                currency: sale.currency, time: sale.time), token, event)
    }
}
