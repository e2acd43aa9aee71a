import DormouseClient
import EventWorker

/// Applies the shop's events to its tables.
struct ShopTables: Observer {
    func prepare(_ database: Database) throws {
        try database.executeAll(
            """
            CREATE TABLE IF NOT EXISTS shop_customer (
                id text PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL,
                address text NOT NULL);
            CREATE TABLE IF NOT EXISTS shop_product (
                id text PRIMARY KEY, type text NOT NULL, name text NOT NULL,
                price_minor bigint NOT NULL CHECK (price_minor >= 0));
            CREATE TABLE IF NOT EXISTS shop_purchase (
                id text PRIMARY KEY, customer_id text NOT NULL REFERENCES shop_customer,
                product_id text NOT NULL, product_type text NOT NULL, product_name text NOT NULL,
                price_minor bigint NOT NULL, quantity bigint NOT NULL CHECK (quantity > 0),
                bought_at bigint NOT NULL, position bigint);
            CREATE INDEX IF NOT EXISTS shop_purchase_customer ON shop_purchase (customer_id)
            """)
    }

    /// `shop.customer.ID` or `shop.product.ID`: what a customer does stays in order. Events that came through Kafka
    /// have its topic as key, and this in a header.
    func orderingKey(of event: Event) -> String {
        let key = event.headers.first { $0.name == "kafka-key" }
        return key.map { String(decoding: $0.value, as: UTF8.self) }
            ?? Self.orderingKey(ofKey: event.key)
    }

    static func orderingKey(ofKey key: String) -> String {
        key.split(separator: ".").prefix(3).joined(separator: ".")
    }

    func apply(_ events: [Event], in transaction: Transaction) throws {
        for event in events {
            try Self.save(try ShopEvent(event), position: event.position, transaction.database)
        }
    }

    /// `position` nil: not from the log.
    static func save(_ event: ShopEvent, position: UInt64?, _ database: Database) throws {
        switch event {
        case .newCustomer(let customer): try Self.save(customer, database)
        case .newProduct(let product): try Self.save(product, database)
        case .purchase(let purchase):
            try Self.save(purchase, position: position, database)
        }
    }

    private static func save(_ customer: ShopEvent.Customer, _ database: Database) throws {
        try database.execute(
            """
            INSERT INTO shop_customer VALUES ($1, $2, $3, $4)
            ON CONFLICT (id) DO UPDATE SET (first_name, last_name, address) =
                (excluded.first_name, excluded.last_name, excluded.address)
            """,
            [
                .text(customer.id), .text(customer.firstName), .text(customer.lastName),
                .text(customer.address),
            ])
    }

    private static func save(_ product: ShopEvent.Product, _ database: Database) throws {
        try database.execute(
            """
            INSERT INTO shop_product VALUES ($1, $2, $3, $4)
            ON CONFLICT (id) DO UPDATE SET (type, name, price_minor) =
                (excluded.type, excluded.name, excluded.price_minor)
            """,
            [
                .text(product.id), .text(product.type), .text(product.name),
                .integer(product.price.groszy),
            ])
    }

    private static func save(
        _ purchase: ShopEvent.Purchase, position: UInt64?, _ database: Database
    ) throws {
        // A purchase that is told twice, by whatever way it came, is one purchase.
        try database.execute(
            """
            INSERT INTO shop_purchase VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (id) DO NOTHING
            """,
            [
                .text(purchase.id), .text(purchase.customerId), .text(purchase.productId),
                .text(purchase.productType), .text(purchase.productName),
                .integer(purchase.price.groszy), .integer(purchase.quantity),
                .integer(purchase.boughtAt), position.map { Value($0) } ?? .null,
            ])
    }
}
