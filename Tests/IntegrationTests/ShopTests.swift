import DormouseClient
import Foundation
import Testing

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// The event shop, and the faults that such shops have.
    @Suite(.serialized)
    struct ShopTests {
        /// A shop with customers and products, and a consumer that runs.
        private func shop() throws -> (Application, Child) {
            let shop = try Application("shop")
            let consumer = try shop.start("consume")
            try shop.run("customers", "make", "--count", "3")
            try shop.run("products", "make")
            try eventually("customers and products are there", seconds: 60) {
                guard consumer.isRunning else { throw Problem(consumer.errors) }
                return try shop.list("customers").count == 3 && shop.list("products").count == 13
            }
            return (shop, consumer)
        }

        private func buy(_ shop: Application, _ count: Int, until all: Int) throws {
            try shop.run("buy", "--count", String(count), "--interval", "0")
            try eventually("\(all) purchases are there", seconds: 60) {
                try shop.list("purchases").count == all
            }
        }

        private func publish(_ shop: Application, _ key: String, _ text: String) throws -> UInt64 {
            let client = try BlockingClient(
                SharedServer.server().uri(), options: ["exchange": shop.exchange])
            return try client.publish([Event(key: key, text)]).last
        }

        @Test func restartsDoNotDuplicatePurchases() throws {
            let (shop, first) = try self.shop()
            var consumer = first
            defer { consumer.destroy() }
            for round in 1...4 {
                try self.buy(shop, 5, until: round * 5)
                consumer.signal(round.isMultiple(of: 2) ? SIGTERM : SIGKILL)
                try consumer.wait()
                consumer = try shop.start("consume")
            }
            try self.buy(shop, 1, until: 21)
            // The same customer, told again, keeps what was bought.
            let customer = try #require(try shop.list("customers").first)
            _ = try self.publish(
                shop, "shop.customer.customer_log_000.new",
                """
                {"event_type":"new_customer","id":"customer_log_000","first_name":"A","last_name":"B","address":"C"}
                """)
            try eventually("the address has changed") {
                try shop.list("customers").first?["address"] == "C"
            }
            #expect(try shop.list("customers").first?["purchases"] == customer["purchases"])
        }

        @Test func replaysGiveTheSamePricesAndTimes() throws {
            let (shop, consumer) = try self.shop()
            defer { consumer.destroy() }
            try self.buy(shop, 10, until: 10)
            let before = try shop.run("purchases", "list", "--json")
            // All products get other prices. What was bought keeps its own.
            try shop.run("products", "make")
            try shop.run("worker", "rebuild")
            #expect(try shop.run("purchases", "list", "--json") == before)
            #expect(try consumer.wait() == .exit(75))
        }

        @Test func twoConsumersLoseNothing() throws {
            let (shop, older) = try self.shop()
            defer { older.destroy() }
            try self.buy(shop, 5, until: 5)
            let newer = try shop.start("consume")
            defer { newer.destroy() }
            try self.buy(shop, 20, until: 25)
            #expect(try older.wait() == .exit(75))
            #expect(older.errors.contains("a newer instance of this worker has taken over"))
            #expect(newer.isRunning)
        }

        @Test func aBadMessageIsParked() throws {
            let (shop, consumer) = try self.shop()
            defer { consumer.destroy() }
            let bad = try self.publish(
                shop, "shop.customer.customer_log_001.buys",
                """
                {"event_type":"customer_buys_product","id":"x","customer_id":"customer_log_001",\
                "product_id":"p","product_type":"p","product_name":"p","price":0.64,"quantity":1,"bought_at":1}
                """)
            let unknown = try self.publish(shop, "shop.other", "{\"event_type\":\"nonsense\"}")
            let orphan = try self.publish(
                shop, "shop.customer.later.buys",
                """
                {"event_type":"customer_buys_product","id":"y","customer_id":"later","product_id":"p",\
                "product_type":"p","product_name":"p","price":64,"quantity":2,"bought_at":1000000}
                """)
            func parked() throws -> [String] {
                try shop.database.query(
                    "SELECT position FROM shop.worker_aside WHERE state = 'parked' ORDER BY position"
                ).split(separator: "\n").map(String.init)
            }
            try eventually("all three are parked", seconds: 60) {
                try parked() == [bad, unknown, orphan].map(String.init)
            }
            let list = try shop.run("worker", "parked")
            #expect(list.contains("not an event of the shop: "))
            #expect(list.contains("unknown event_type 'nonsense'"))
            let shown = try shop.run("worker", "show", "shop", String(orphan))
            #expect(shown.contains("attempts: 5") && shown.contains("\"quantity\":2"))
            // The customer is made, and the purchase succeeds.
            try shop.run("worker", "drop", "shop", String(bad))
            try shop.run("worker", "drop", "shop", String(unknown))
            #expect(try shop.outcome("worker", "drop", "shop", "9999").end == .exit(64))
            try shop.database.query(
                "INSERT INTO shop.shop_customer VALUES ('later', 'A', 'B', 'C')")
            #expect(try shop.run("worker", "retry") == "1 event is tried again\n")
            try eventually("it is bought") {
                try shop.list("purchases").contains {
                    $0["id"] == "y" && $0["value_minor"] == "128"
                }
            }
            #expect(try parked() == [])
        }

        @Test func moneyIsIntegral() throws {
            let (shop, consumer) = try self.shop()
            defer { consumer.destroy() }
            try shop.run("customers", "make", "--via", "db", "--count", "2")
            try shop.run("products", "make", "--via", "db")
            try shop.run("buy", "--via", "db", "--count", "3", "--interval", "0")
            try self.buy(shop, 20, until: 23)
            var sum: [String: Int] = [:]
            for purchase in try shop.list("purchases") {
                let price = try #require(Int(purchase["price_minor"] ?? ""))
                let quantity = try #require(Int(purchase["quantity"] ?? ""))
                #expect(purchase["value_minor"] == String(price * quantity))
                #expect((1...100).contains(price))
                sum[purchase["customer_id"] ?? "", default: 0] += price * quantity
            }
            for customer in try shop.list("customers") {
                #expect(customer["value_minor"] == String(sum[customer["id"] ?? ""] ?? 0))
            }
            #expect(
                try shop.database.query(
                    """
                    SELECT count(*) FROM information_schema.columns WHERE table_schema = 'shop'
                        AND data_type IN ('real', 'double precision')
                    """) == "0")
            let product = try #require(
                try shop.run("products", "list").split(separator: "\n").first)
            #expect(
                product.wholeMatch(of: /Produkt: ".+" \(.+, cena [01]\.\d\d zł, ID .+\)/) != nil)
            let customers = try shop.run("customers", "list")
            #expect(
                customers.firstMatch(
                    of:
                        /\* .+ \(ID: .+\) .+ \(\d+ za [01]\.\d\d zł = \d+\.\d\d zł, kupione \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)/
                ) != nil)
        }

        @Test func settingsComeFromAFile() throws {
            let shop = try Application("shop")
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let path = "\(folder)/mine.conf"
            try Data("# mine\ndatabase = \(shop.database.conninfo)\nschema = other\n".utf8)
                .write(to: URL(fileURLWithPath: path))
            let made = try Command.check([
                "\(Server.binaries)/shop", "customers", "make", "--via", "db", "--config", path,
            ])
            #expect(made == "5 customers made\n")
            #expect(try shop.database.number("SELECT count(*) FROM other.shop_customer") == 5)
            try Data("databse = x\n".utf8).write(to: URL(fileURLWithPath: path))
            let wrong = try Command.run([
                "\(Server.binaries)/shop", "customers", "list", "--config", path,
            ])
            #expect(wrong.end == .exit(64) && wrong.errors.contains("line 1"))
        }
    }
}
