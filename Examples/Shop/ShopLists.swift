import EventWorker
import WorkerCommands

/// What the tables hold, for people and for programs.
struct ShopLists {
    private let database: Database

    init(_ database: Database) throws {
        self.database = database
    }

    func customers() throws -> [ShopEvent.Customer] {
        let rows = try self.database.execute(
            "SELECT id, first_name, last_name, address FROM shop_customer ORDER BY id COLLATE \"C\""
        )
        return (0..<rows.count).map { row in
            ShopEvent.Customer(
                id: rows.text(row, 0) ?? "", firstName: rows.text(row, 1) ?? "",
                lastName: rows.text(row, 2) ?? "", address: rows.text(row, 3) ?? "")
        }
    }

    func products() throws -> [ShopEvent.Product] {
        let rows = try self.database.execute(
            "SELECT id, type, name, price_minor FROM shop_product ORDER BY id COLLATE \"C\"")
        var products: [ShopEvent.Product] = []
        for row in 0..<rows.count {
            products.append(
                ShopEvent.Product(
                    id: rows.text(row, 0) ?? "", type: rows.text(row, 1) ?? "",
                    name: rows.text(row, 2) ?? "",
                    price: Money(groszy: try rows.integer(row, 3))))
        }
        return products
    }

    private struct Line {
        let purchase: ShopEvent.Purchase
        let time: String
        var value: Money { purchase.price.times(purchase.quantity) ?? purchase.price }
    }

    private func purchases() throws -> [String: [Line]] {
        let rows = try self.database.execute(
            """
            SELECT id, customer_id, product_id, product_type, product_name, price_minor, quantity,
                bought_at, to_char(to_timestamp(bought_at / 1000000), 'YYYY-MM-DD HH24:MI:SS')
            FROM shop_purchase ORDER BY customer_id, bought_at, id COLLATE "C"
            """)
        var lines: [String: [Line]] = [:]
        for row in 0..<rows.count {
            let purchase = ShopEvent.Purchase(
                id: rows.text(row, 0) ?? "", customerId: rows.text(row, 1) ?? "",
                productId: rows.text(row, 2) ?? "", productType: rows.text(row, 3) ?? "",
                productName: rows.text(row, 4) ?? "",
                price: Money(groszy: try rows.integer(row, 5)),
                quantity: try rows.integer(row, 6), boughtAt: try rows.integer(row, 7))
            lines[purchase.customerId, default: []].append(
                Line(purchase: purchase, time: rows.text(row, 8) ?? ""))
        }
        return lines
    }

    // MARK: Text

    /// One line for each product.
    func productText() throws -> String {
        try self.products().map {
            Listing.line(
                "Produkt: \"\($0.name)\" (\($0.type), cena \($0.price.text), ID \($0.id))") + "\n"
        }.joined()
    }

    /// One line for each customer, and for each purchase below it. Times are UTC.
    func customerText() throws -> String {
        let purchases = try self.purchases()
        return try self.customers().map { customer in
            let who = Listing.line(
                "\(customer.firstName) \(customer.lastName) (\(customer.id))")
            guard let lines = purchases[customer.id] else { return "\(who) - nie ma produktów.\n" }
            return "\(who) - ma następujące produkty:\n"
                + lines.map { line in
                    let purchase = line.purchase
                    return Listing.line(
                        "* \(purchase.productType) (ID: \(purchase.productId)) "
                            + "\(purchase.productName) (\(purchase.quantity) za \(purchase.price.text) = "
                            + "\(line.value.text), kupione \(line.time))") + "\n"
                }.joined()
        }.joined()
    }

    func productListing() throws -> Listing {
        var listing = Listing(["id", "type", "name", "price_minor"])
        for product in try self.products() {
            listing.add([
                .text(product.id), .text(product.type), .text(product.name),
                .integer(product.price.groszy),
            ])
        }
        return listing
    }

    func customerListing() throws -> Listing {
        var listing = Listing([
            "id", "first_name", "last_name", "address", "purchases", "value_minor",
        ])
        let purchases = try self.purchases()
        for customer in try self.customers() {
            let lines = purchases[customer.id] ?? []
            listing.add([
                .text(customer.id), .text(customer.firstName), .text(customer.lastName),
                .text(customer.address), .integer(Int64(lines.count)),
                Self.sum(lines).map { .integer($0) } ?? .none,
            ])
        }
        return listing
    }

    /// nil: more than can be counted.
    private static func sum(_ lines: [Line]) -> Int64? {
        var sum: Int64 = 0
        for line in lines {
            let (next, isOver) = sum.addingReportingOverflow(line.value.groszy)
            if isOver { return nil }
            sum = next
        }
        return sum
    }

    /// All purchases, one a row.
    func purchaseListing() throws -> Listing {
        var listing = Listing([
            "id", "customer_id", "product_id", "product_name", "price_minor", "quantity",
            "value_minor", "bought_at",
        ])
        let purchases = try self.purchases()
        for line in purchases.keys.sorted().flatMap({ purchases[$0] ?? [] }) {
            listing.add([
                .text(line.purchase.id), .text(line.purchase.customerId),
                .text(line.purchase.productId), .text(line.purchase.productName),
                .integer(line.purchase.price.groszy), .integer(line.purchase.quantity),
                .integer(line.value.groszy), .integer(line.purchase.boughtAt),
            ])
        }
        return listing
    }
}
