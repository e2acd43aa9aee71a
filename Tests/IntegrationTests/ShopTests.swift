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

        /// Attempts are counted before they are made, so those count, too, that end the whole process.
        @Test func anEventThatEndsItsConsumerIsParked() throws {
            let shop = try Application("shop")
            try shop.run("customers", "list")
            try shop.database.query(
                """
                CREATE FUNCTION shop.hang() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_sleep(60); RETURN new; END $$;
                CREATE TRIGGER hang BEFORE INSERT ON shop.shop_customer FOR EACH ROW
                    WHEN (new.id = 'customer_log_001') EXECUTE FUNCTION shop.hang()
                """)
            try shop.run("customers", "make", "--count", "4")
            let frozen = """
                FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'
                """
            var consumer = try shop.start("consume")
            defer { consumer.destroy() }
            var kills = 0
            try eventually("the rest flows", seconds: 120) {
                if try shop.database.number("SELECT count(*) \(frozen)") == 1 {
                    consumer.signal(SIGKILL)
                    try consumer.wait()
                    // Until it is gone, or it would be taken for the next one's.
                    try shop.database.query("SELECT pg_terminate_backend(pid, 60000) \(frozen)")
                    kills += 1
                    consumer = try shop.start("consume")
                }
                return try shop.list("customers").count == 3
            }
            // The first time it was not known which event of the batch it was.
            #expect((5...6).contains(kills))
            #expect(
                try shop.database.query("SELECT state, attempts, reason FROM shop.worker_aside")
                    == "parked|5|the worker ended 5 times while it applied this")
        }

        @Test func listsAreForPeopleAndForPrograms() throws {
            let shop = try Application("shop")
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let path = "\(folder)/events"
            try """
            {"event_type":"new_customer","id":"c1","first_name":"Maria","last_name":"Zając","address":"ul. Polna 5"}
            {"event_type":"new_customer","id":"c2","first_name":"Marek","last_name":"Kos","address":"ul. Lipowa 7"}
            {"event_type":"new_product","id":"mleko_1","type":"mleko","name":"Łaciate","price":64}
            {"event_type":"customer_buys_product","id":"p1","customer_id":"c1","product_id":"mleko_1",\
            "product_type":"mleko","product_name":"Łaciate","price":36,"quantity":8,"bought_at":1650829267000000}
            """.write(toFile: path, atomically: true, encoding: .utf8)
            try shop.run("send", path, "--via", "db")
            #expect(
                try shop.run("products", "list")
                    == "Produkt: \"Łaciate\" (mleko, cena 0.64 zł, ID mleko_1)\n")
            #expect(
                try shop.run("customers", "list") == """
                    Maria Zając (c1) - ma następujące produkty:
                    * mleko (ID: mleko_1) Łaciate (8 za 0.36 zł = 2.88 zł, kupione 2022-04-24 19:41:07)
                    Marek Kos (c2) - nie ma produktów.

                    """)
            #expect(
                try shop.run("customers", "list", "--table") == """
                    ID  FIRST NAME  LAST NAME  ADDRESS       PURCHASES  VALUE MINOR
                    c1  Maria       Zając      ul. Polna 5           1          288
                    c2  Marek       Kos        ul. Lipowa 7          0            0

                    """)
            #expect(
                try shop.run("products", "list", "--json") == """
                    [{"id":"mleko_1","type":"mleko","name":"Łaciate","price_minor":64}]

                    """)
            #expect(
                try shop.run("purchases", "list", "--json") == """
                    [{"id":"p1","customer_id":"c1","product_id":"mleko_1","product_name":"Łaciate",\
                    "price_minor":36,"quantity":8,"value_minor":288,"bought_at":1650829267000000}]

                    """)
            // As many seconds between two purchases as were asked for.
            let begun = ContinuousClock.now
            try shop.run("buy", "--via", "db", "--count", "3", "--interval", "0.3")
            #expect(ContinuousClock.now - begun > .milliseconds(600))
            #expect(try shop.list("purchases").count == 4)
        }

        @Test func ctrlCEndsBuyingAtOnce() throws {
            let (shop, consumer) = try self.shop()
            defer { consumer.destroy() }
            let buyer = try shop.start("buy", "--count", "9", "--interval", "3600")
            defer { buyer.destroy() }
            try eventually("the first is there") { try shop.list("purchases").count == 1 }
            buyer.signal(SIGINT)
            #expect(try buyer.wait() == .exit(0))
            #expect(try shop.log("shop.customer.*.buys").count == 1)
        }

        @Test func moreThanARequestHoldsIsSentInSeveral() throws {
            let shop = try Application("shop")
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let path = "\(folder)/events"
            let address = String(repeating: "long ", count: 600)
            let lines = (1...700).map {
                #"{"event_type":"new_customer","id":"c\#($0)","first_name":"A","last_name":"B","address":"\#(address)"}"#
            }
            try lines.joined(separator: "\n").write(
                toFile: path, atomically: true, encoding: .utf8)
            #expect(try shop.run("send", path) == "700 events sent\n")
            #expect(
                try shop.log("shop.#").map(\.key) == (1...700).map { "shop.customer.c\($0).new" })
        }

        @Test func whatIsTypedWronglyIsSaid() throws {
            let shop = try Application("shop")
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let path = "\(folder)/events"
            // An empty line is a line, and one of Windows is one, too.
            try
                "{\"event_type\":\"new_product\",\"id\":\"m\",\"type\":\"m\",\"name\":\"m\",\"price\":1}\r\n\r\n\nnonsense\n"
                .write(toFile: path, atomically: true, encoding: .utf8)
            let bad = try shop.outcome("send", path, "--via", "db")
            #expect(bad.end == .exit(64) && bad.errors.contains("\(path), line 4: "))
            #expect(try shop.list("products").isEmpty)
            let more = try shop.outcome("customers", "make", "100")
            #expect(more.end == .exit(64) && more.errors.contains("'100' is too much"))
            // Of one worker, as the help says.
            try shop.database.query(
                """
                INSERT INTO shop.worker_aside (worker, exchange, position, ordering_key, state, reason,
                    is_replay, key, payload, id, content_type, headers, published_at)
                VALUES ('other', '\(shop.exchange)', 7, 'k', 'parked', 'because', false, 'k', '', '', '', '', 0)
                """)
            #expect(try shop.run("worker", "parked").contains("because"))
            let none = try shop.run("worker", "parked", "--worker", "shop")
            #expect(!none.contains("because"))
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
            // All of them: this shop has no flags.
            try Data(
                """
                broker = \(SharedServer.server().uri())
                database = \(shop.database.conninfo)
                exchange = \(shop.exchange)
                through = dormouse
                """.utf8
            ).write(to: URL(fileURLWithPath: "\(folder)/shop.conf"))
            let there = try Command.check([
                "/bin/sh", "-c", "cd '\(folder)' && '\(Server.binaries)/shop' products make",
            ])
            #expect(there == "13 products made\n")
            #expect(try shop.log("shop.product.*.new").count == 13)
            try Data("databse = x\n".utf8).write(to: URL(fileURLWithPath: path))
            let wrong = try Command.run([
                "\(Server.binaries)/shop", "customers", "list", "--config", path,
            ])
            #expect(wrong.end == .exit(64) && wrong.errors.contains("line 1"))
        }
    }
}
