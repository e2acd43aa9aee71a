import DormouseClient
import EventWorker

/// The tables that all workers of the market write to. Amounts are numeric without a fraction.
struct MarketTables {
    static let schema = """
        CREATE TABLE IF NOT EXISTS collection (
            id text PRIMARY KEY, creator text NOT NULL, name text NOT NULL,
            description text NOT NULL DEFAULT '', uri text NOT NULL DEFAULT '',
            maximum numeric(78,0), category text NOT NULL DEFAULT '', tags text[] NOT NULL DEFAULT '{}',
            payees text[] NOT NULL DEFAULT '{}', royalties numeric(78,0)[] NOT NULL DEFAULT '{}',
            volume numeric(78,0) NOT NULL DEFAULT 0,
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
            seller text, buyer text NOT NULL, price numeric(78,0) NOT NULL, currency text,
            quantity numeric(78,0) NOT NULL, sold_at numeric(78,0) NOT NULL);
        CREATE TABLE IF NOT EXISTS activity (
            position bigint PRIMARY KEY, operation text NOT NULL, token_id text NOT NULL REFERENCES token,
            source text, destination text, price numeric(78,0), currency text,
            quantity numeric(78,0), ledger_version numeric(78,0), happened_at numeric(78,0) NOT NULL);
        CREATE TABLE IF NOT EXISTS gallery (
            id numeric(78,0) PRIMARY KEY, token_id text NOT NULL REFERENCES token, owner text NOT NULL,
            name text NOT NULL, space_type text NOT NULL, uri text NOT NULL, payees text[] NOT NULL,
            commission_rates numeric(78,0)[] NOT NULL, changed_at numeric(78,0) NOT NULL);
        CREATE TABLE IF NOT EXISTS exhibit (
            id numeric(78,0) PRIMARY KEY, gallery_id numeric(78,0) NOT NULL REFERENCES gallery,
            token_id text NOT NULL REFERENCES token, origin text NOT NULL, curator text NOT NULL,
            buyer text, price numeric(78,0) NOT NULL,
            status text NOT NULL CHECK (status IN ('LISTED', 'FROZEN', 'REDEEMED', 'SOLD')),
            location text NOT NULL, url text NOT NULL, detail text NOT NULL,
            listed_at numeric(78,0) NOT NULL, ended_at numeric(78,0) NOT NULL);
        CREATE TABLE IF NOT EXISTS curation_offer (
            id numeric(78,0) PRIMARY KEY, gallery_id numeric(78,0) NOT NULL REFERENCES gallery,
            token_id text NOT NULL REFERENCES token, source text NOT NULL, destination text NOT NULL,
            price numeric(78,0) NOT NULL,
            status text NOT NULL CHECK (status IN ('CREATED', 'REJECTED', 'ACCEPTED', 'CANCELED')),
            url text NOT NULL, detail text NOT NULL, opened_at numeric(78,0) NOT NULL,
            ended_at numeric(78,0) NOT NULL, exhibit_ended_at numeric(78,0) NOT NULL)
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

    /// What is known of a collection comes from whoever told of it last; sales stay.
    func save(_ collection: MarketEvent.NewCollection) throws {
        try self.database.execute(
            """
            INSERT INTO collection (id, creator, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
            """, [.text(collection.id), .text(collection.creator), .text(collection.name)])
        try self.database.execute(
            """
            UPDATE collection SET description = $2, uri = $3, maximum = $4,
                category = coalesce($5, category), tags = coalesce($6, tags),
                payees = coalesce($7, payees), royalties = coalesce($8, royalties)
            WHERE id = $1
            """,
            [
                .text(collection.id), .text(collection.description), .text(collection.uri),
                .text(collection.maximum.digits), Value(collection.category),
                collection.tags.map { Value($0) } ?? .null,
                collection.payees.map { Value($0) } ?? .null,
                collection.royalties.map { Value($0.map(\.digits)) } ?? .null,
            ])
    }

    /// Of a token that is known. Who made it has it until it is sold, maybe by an event that another worker has applied already.
    func save(_ token: MarketEvent.NewToken) throws {
        try self.database.execute(
            "UPDATE token SET uri = $2, description = $3, owner = coalesce(owner, $4) WHERE id = $1",
            [
                .text(token.tokenId.text), .text(token.uri), .text(token.description),
                .text(token.creator),
            ])
    }

    struct Activity {
        let operation: String
        var source: String?
        var destination: String?
        var price: Amount?
        var currency: String?
        var quantity: Amount?
        let time: Amount
    }

    func add(_ activity: Activity, _ token: MarketEvent.TokenID, _ event: Event) throws {
        try self.database.execute(
            "INSERT INTO activity VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [
                Value(event.position), .text(activity.operation), .text(token.text),
                Value(activity.source), Value(activity.destination),
                Value(activity.price?.digits), Value(activity.currency),
                Value(activity.quantity?.digits),
                Value(MarketEvent.version(event)), .text(activity.time.digits),
            ])
    }

    struct Sale {
        let seller: String?
        let buyer: String
        let price: Amount
        /// nil: the chain does not say.
        let currency: String?
        let quantity: Amount
        let time: Amount
    }

    /// A sale, whoever began it: the token has another owner, and its collection has sold more.
    func add(_ sale: Sale, _ token: MarketEvent.TokenID, _ event: Event) throws {
        try self.database.execute(
            "INSERT INTO sale VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                Value(event.position), .text(token.text), Value(sale.seller), .text(sale.buyer),
                .text(sale.price.digits), Value(sale.currency), .text(sale.quantity.digits),
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
                currency: sale.currency, quantity: sale.quantity, time: sale.time), token, event)
    }
}
