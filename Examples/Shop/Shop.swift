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
          send FILE [--via log|db]                       what happened elsewhere: events as JSON, one a line
          consume                                        apply the events of the log to the tables, for ever
          customers list [--json | --table]              customers and what they bought
          products list [--json | --table]               products and their prices
          purchases list [--json]                        purchases
        \(WorkerCommands.help)

        Everywhere, or in shop.conf (`name = value`), or in the file that --config names:
          --through WAY             by which way events get into the log: \(Through.allCases.map(\.rawValue).joined(separator: ", "))
          --broker URI              the Dormouse server (dormouse://127.0.0.1:3673)
          --exchange NAME           (main)
          --database CONNINFO       the shop's own database; with an outbox, also the server's (dbname=shop)
          --schema NAME             where its tables are (shop)
          --worker NAME             name of the consumer (shop)
          --rabbitmq URI            (amqp://guest:guest@127.0.0.1)
          --rabbitmq-exchange NAME  of type topic; declared (shop)
          --kafka HOST:PORT         several with commas (127.0.0.1:9092)
          --topic NAME              Kafka's (shop.events)

        With --via db --through outbox, tables and events change in one transaction.

        """

    static func main() {
        Program.run("shop") {
            let arguments = try Arguments(
                Array(CommandLine.arguments.dropFirst()),
                flags: ShopSettings.flags.union(["--count", "--interval", "--via"]),
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
            if words[0] != "worker" { try self.arguments.expectNoMore(than: 2) }
            switch (words[0], words.count > 1 ? words[1] : "") {
            case ("customers", "make"): try self.makeCustomers()
            case ("products", "make"): try self.makeProducts()
            case ("buy", ""): try self.buy()
            case ("send", let path): try self.send(path)
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

        private func counter(_ via: Via) throws -> Counter {
            switch via {
            case .log: try Counter(way: (self.settings.through ?? .dormouse).open(self.settings))
            case .db: try Counter(self.database(), through: self.settings.through, self.settings)
            }
        }

        private func makeCustomers() throws {
            let count = try self.arguments.number("--count", in: 1...100_000, default: 5)
            let via = try self.arguments.choice("--via", default: Via.log)
            let customers = Assortment.customers(count, via.rawValue)
            try self.counter(via).tell(customers.map { .newCustomer($0) })
            Program.say("\(count) customer\(count == 1 ? "" : "s") made\n")
        }

        private func makeProducts() throws {
            let via = try self.arguments.choice("--via", default: Via.log)
            let products = Assortment.products(via.rawValue)
            try self.counter(via).tell(products.map { .newProduct($0) })
            Program.say("\(products.count) products made\n")
        }

        private func send(_ path: String) throws {
            let via = try self.arguments.choice("--via", default: Via.log)
            guard let data = FileManager.default.contents(atPath: path) else {
                throw UsageError("the file '\(path)' cannot be read")
            }
            let lines = data.split(
                separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            let events = try lines.enumerated().compactMap { index, line -> ShopEvent? in
                if line.allSatisfy({ $0 <= UInt8(ascii: " ") }) { return nil }
                do {
                    return try ShopEvent(json: line)
                } catch {
                    throw UsageError("\(path), line \(index + 1): \(error)")
                }
            }
            try self.counter(via).tell(events)
            Program.say("\(events.count) event\(events.count == 1 ? "" : "s") sent\n")
        }

        // MARK: Buying

        private func buy() throws {
            let count = try self.arguments.number("--count", in: 1...1_000_000, default: 10)
            let pause = try self.arguments.milliseconds("--interval", default: 2_000)
            let via = try self.arguments.choice("--via", default: Via.log)
            let database = try self.database()
            let lists = try ShopLists(database)
            let (customers, products) = (try lists.customers(), try lists.products())
            var counter = try self.counter(via)
            let stop = try Program.stopSignal()
            defer { Program.endProgress() }
            for done in 1...count {
                guard let customer = customers.randomElement(),
                    let product = products.randomElement()
                else {
                    throw UsageError(
                        "there are no customers or no products yet; make some, and let 'shop consume' run"
                    )
                }
                let purchase = Self.purchase(customer, product)
                try counter.tell([.purchase(purchase)])
                Program.progress("purchases", done, of: count)
                if done < count, stop.wait(milliseconds: Int64(pause)) { break }
                if pause >= Self.silenceMilliseconds { counter = try self.counter(via) }
            }
        }

        /// A broker ends connections that say nothing for a while; RabbitMQ after 40 s.
        private static let silenceMilliseconds = 10_000

        private static func purchase(
            _ customer: ShopEvent.Customer, _ product: ShopEvent.Product
        ) -> ShopEvent.Purchase {
            ShopEvent.Purchase(
                id: ShopEvent.newID, customerId: customer.id,
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
                words, worker: self.arguments.value("--worker"),
                asJSON: self.arguments.has("--json"),
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
