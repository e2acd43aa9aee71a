import DormouseClient
import EventWorker
import Foundation
import WorkerCommands

/// The event shop: customers, products and purchases that are told by events.
@main
enum Shop {
    private static let help = """
        usage: shop COMMAND [FLAG...]

          customers make [--count N] [--via log|db]      invent customers: as events, or straight in the tables
          products make [--via log|db]                   invent 13 products
          buy [--count N] [--interval S] [--via log|db]  random purchases
          consume                                        apply the events of the log to the tables, for ever
          customers list [--json | --table]              customers and what they bought
          products list [--json | --table]               products and their prices
          purchases list [--json]                        purchases
        \(WorkerCommands.help)

          --through \(Through.allCases.map(\.rawValue).joined(separator: "|"))        which way events take into the log

        Everywhere, or in shop.conf (`name = value`), or in the file that --config names:
          --broker URI         the Dormouse server (dormouse://127.0.0.1:3673)
          --exchange NAME      (main)
          --database CONNINFO  the shop's own database (dbname=shop)
          --schema NAME        where its tables are (shop)
          --worker NAME        name of the consumer (shop)

        """

    static func main() {
        Program.run("shop") {
            let arguments = try Arguments(
                Array(CommandLine.arguments.dropFirst()),
                flags: ShopSettings.flags.union(["--count", "--interval", "--via", "--through"]),
                switches: ["--json", "--table", "--help"])
            if arguments.has("--help") || arguments.words.isEmpty { return Program.say(Self.help) }
            try Shop.Session(arguments).run()
        }
    }

    private enum Via: String, CaseIterable { case log, db }

    /// One run of the program.
    private struct Session {
        let arguments: Arguments
        let settings: ShopSettings

        init(_ arguments: Arguments) throws {
            self.arguments = arguments
            self.settings = try ShopSettings(arguments)
        }

        func run() throws {
            let words = self.arguments.words
            switch (words[0], words.count > 1 ? words[1] : "") {
            case ("customers", "make"): try self.makeCustomers()
            case ("products", "make"): try self.makeProducts()
            case ("buy", ""): try self.buy()
            case ("consume", ""): try self.consume()
            case ("customers", "list"):
                try self.list {
                    try $0.customerListing()
                } text: {
                    try $0.customerText()
                }
            case ("products", "list"):
                try self.list {
                    try $0.productListing()
                } text: {
                    try $0.productText()
                }
            case ("purchases", "list"):
                try self.list {
                    try $0.purchaseListing()
                } text: {
                    try $0.purchaseListing().table
                }
            case ("worker", _): try self.worker(Array(words.dropFirst()))
            default: throw UsageError("there is no such command; shop --help lists what there is")
            }
        }

        // MARK: Making

        private func database() throws -> Database {
            let database = try Database(self.settings.database, schema: self.settings.schema)
            try Worker.prepare(database, schema: self.settings.schema, [ShopTables()])
            return database
        }

        private func send(_ events: [ShopEvent]) throws {
            let way = try self.arguments.choice("--through", default: Through.dormouse)
                .open(self.settings)
            try way.send(try events.map { try $0.event })
        }

        private func makeCustomers() throws {
            let count = try self.arguments.number("--count", in: 1...100_000, default: 5)
            let via = try self.arguments.choice("--via", default: Via.log)
            let customers = Assortment.customers(count, via.rawValue)
            switch via {
            case .log:
                for start in stride(from: 0, to: count, by: 1_000) {
                    try self.send(
                        customers[start..<min(count, start + 1_000)].map { .newCustomer($0) })
                }
            case .db:
                try self.database().transaction { database in
                    for customer in customers { try ShopTables.save(customer, database) }
                }
            }
            Program.say("\(count) customer\(count == 1 ? "" : "s") made\n")
        }

        private func makeProducts() throws {
            let via = try self.arguments.choice("--via", default: Via.log)
            let products = Assortment.products(via.rawValue)
            switch via {
            case .log: try self.send(products.map { .newProduct($0) })
            case .db:
                try self.database().transaction { database in
                    for product in products { try ShopTables.save(product, database) }
                }
            }
            Program.say("\(products.count) products made\n")
        }

        // MARK: Buying

        private func buy() throws {
            let count = try self.arguments.number("--count", in: 1...1_000_000, default: 10)
            let pause = try self.arguments.milliseconds("--interval", default: 2_000)
            let via = try self.arguments.choice("--via", default: Via.log)
            let database = try self.database()
            let lists = try ShopLists(database)
            let (customers, products) = (try lists.customers(), try lists.products())
            let way =
                via == .db
                ? nil
                : try self.arguments.choice("--through", default: Through.dormouse)
                    .open(self.settings)
            let stop = try Program.stopSignal()
            for done in 1...count {
                guard let customer = customers.randomElement(),
                    let product = products.randomElement()
                else {
                    throw UsageError(
                        "there are no customers or no products yet; make some, and let 'shop consume' run"
                    )
                }
                let purchase = Self.purchase(customer, product)
                if let way {
                    try way.send([try ShopEvent.purchase(purchase).event])
                } else {
                    try database.transaction { try ShopTables.save(purchase, position: nil, $0) }
                }
                Program.progress("purchases", done, of: count)
                if done < count, stop.wait(milliseconds: Int64(pause)) { break }
            }
        }

        private static func purchase(
            _ customer: ShopEvent.Customer, _ product: ShopEvent.Product
        ) -> ShopEvent.Purchase {
            ShopEvent.Purchase(
                id: UUID().uuidString.lowercased(), customerId: customer.id,
                productId: product.id, productType: product.type, productName: product.name,
                price: product.price, quantity: Int64.random(in: 1...10),
                boughtAt: Int64(Date().timeIntervalSince1970 * 1_000) * 1_000)
        }

        // MARK: Consuming

        private var worker: WorkerOptions {
            var options = WorkerOptions(
                name: self.settings.worker, exchange: self.settings.exchange,
                filter: Filter("shop.#"),
                server: self.settings.broker, database: self.settings.database,
                schema: self.settings.schema)
            options.log = { Program.log("shop: \($0)") }
            return options
        }

        private func consume() throws {
            try Worker(self.worker, ShopTables(), until: try Program.stopSignal()).run()
        }

        private func worker(_ words: [String]) throws {
            try WorkerCommands([(self.worker, ShopTables())])?.run(
                words, worker: nil, asJSON: self.arguments.has("--json"),
                until: try Program.stopSignal())
        }

        // MARK: Listing

        private func list(
            _ listing: (ShopLists) throws -> Listing, text: (ShopLists) throws -> String
        ) throws {
            let lists = try ShopLists(try self.database())
            if self.arguments.has("--json") || self.arguments.has("--table") {
                return Program.say(try listing(lists).text(asJSON: self.arguments.has("--json")))
            }
            Program.say(try text(lists))
        }
    }
}
