import DormouseClient
import Foundation
import Testing

extension Integration {
    /// The shop's events by all the ways into the log.
    @Suite(.serialized)
    struct ShopWaysTests {
        /// What happened in a shop whose events went straight to the server, and the tables that they made.
        private struct Story {
            let path: String
            let tables: [String]
            private let folder: String

            init() throws {
                self.folder = try Folder.make()
                self.path = "\(self.folder)/events"
                let shop = try Application("shop")
                let consumer = try shop.start("consume")
                defer { consumer.destroy() }
                try shop.run("customers", "make", "--count", "7")
                try shop.run("products", "make")
                try ShopWaysTests.wait(shop, consumer, "products", 13)
                try shop.run("buy", "--count", "40", "--interval", "0")
                // A customer moves: the order of what is told of one customer matters.
                let customers = try shop.log("shop.customer.*.new").map(\.text)
                let last = customers[6].replacing("ul. ", with: "al. ")
                try last.write(toFile: self.path, atomically: true, encoding: .utf8)
                try shop.run("send", self.path)
                try ShopWaysTests.wait(shop, consumer, "purchases", 40)
                try eventually("the customer has moved") {
                    try shop.run("customers", "list").contains("customer_log_006")
                        && shop.list("customers")[6]["address"]?.hasPrefix("al. ") == true
                }
                let events = try shop.log("shop.#").map(\.text)
                #expect(events.count == 7 + 13 + 40 + 1)
                try events.joined(separator: "\n").write(
                    toFile: self.path, atomically: true, encoding: .utf8)
                self.tables = try ShopWaysTests.tables(of: shop)
            }

            /// 7 customers, 13 products, 10 purchases; the rest.
            func halves() throws -> (String, String) {
                let lines = try String(contentsOfFile: self.path, encoding: .utf8)
                    .split(separator: "\n")
                let paths = ("\(self.path).1", "\(self.path).2")
                for (path, part) in [(paths.0, lines.prefix(30)), (paths.1, lines.dropFirst(30))] {
                    try part.joined(separator: "\n").write(
                        toFile: path, atomically: true, encoding: .utf8)
                }
                return paths
            }

            func destroy() { Folder.remove(self.folder) }
        }

        private static func wait(
            _ shop: Application, _ consumer: Child, _ list: String, _ count: Int
        ) throws {
            try eventually("\(count) \(list) are there", seconds: 90) {
                guard consumer.isRunning else { throw Problem(consumer.errors) }
                return try shop.list(list).count == count
            }
        }

        private static func tables(of shop: Application) throws -> [String] {
            try ["customers", "products", "purchases"].map { try shop.run($0, "list", "--json") }
        }

        /// The whole story again in another shop, which then goes on by the same way. In the middle of it the server is killed, and
        /// what is told meanwhile waits wherever the way begins.
        private func expectSameTables(
            _ shop: Application, _ server: FragileServer, whileAway: () throws -> Void = {}
        ) throws {
            let story = try Story()
            defer { story.destroy() }
            let consumer = try shop.start("consume")
            defer { consumer.destroy() }
            let (first, second) = try story.halves()
            #expect(try shop.run("send", first) == "30 events sent\n")
            try Self.wait(shop, consumer, "products", 13)
            try server.kill()
            #expect(try shop.run("send", second) == "31 events sent\n")
            #expect(try shop.list("purchases").count <= 10)
            try whileAway()
            // Once more when all of it is under way.
            try server.start()
            try server.kill()
            try server.start()
            try Self.wait(shop, consumer, "purchases", 40)
            try eventually("everything is applied", seconds: 60) {
                try Self.tables(of: shop) == story.tables
            }
            // Told a second time, it is the same.
            try shop.run("send", story.path)
            try shop.run("customers", "make", "--count", "9")
            try Self.wait(shop, consumer, "customers", 9)
            try shop.run("buy", "--count", "5", "--interval", "0")
            try Self.wait(shop, consumer, "purchases", 45)
        }

        @Test func throughTheOutboxTheTablesAreTheSame() throws {
            let schema = "shop_\(UInt32.random(in: .min ... .max))"
            let server = try FragileServer()
            try self.expectSameTables(
                Application(
                    "shop", ["--through", "outbox", "--schema", schema],
                    database: server.database, server: server), server)
        }

        /// A classic queue, as in `nothingIsLostWhenTheBrokerIsKilledAndMemoryRunsOut`.
        @Test(.enabled(if: RabbitMQ.isInstalled, "needs rabbitmq-server"))
        func throughRabbitMQTheTablesAreTheSame() throws {
            let rabbit = try RabbitMQ()
            defer { rabbit.destroy() }
            let server = try FragileServer()
            let shop = try Application(
                "shop",
                [
                    "--through", "rabbitmq", "--rabbitmq", rabbit.uri, "--rabbitmq-exchange",
                    "corner",
                ], server: server)
            // Nobody would ever see these.
            let lost = try shop.outcome("customers", "make")
            #expect(lost.end == .exit(1))
            #expect(lost.errors.contains("no queue is bound for its routing key"))
            let connector = try ConnectorProcess(
                "dormouse-rabbitmq",
                [
                    "--broker", rabbit.uri, "--server", "\(server.uri)/main", "--queue", "corner",
                    "--exchange", "corner", "--bind", "shop.#", "--queue-type", "classic",
                ])
            defer { connector.destroy() }
            try connector.waitForLog("consuming", seconds: 60)
            try self.expectSameTables(shop, server) {
                rabbit.killAtOnce()
                try rabbit.start()
            }
        }

        @Test func throughKafkaTheTablesAreTheSame() throws {
            let kafka = try Kafka()
            defer { kafka.destroy() }
            try kafka.run("topic shop.corner 4")
            let server = try FragileServer()
            let shop = try Application(
                "shop",
                ["--through", "kafka", "--kafka", kafka.brokers, "--topic", "shop.corner"],
                server: server)
            let connector = try ConnectorProcess(
                "dormouse-kafka",
                [
                    "--brokers", kafka.brokers, "--topic", "shop.corner", "--server",
                    "\(server.uri)/main", "--property",
                    "session.timeout.ms=6000", "--property", "heartbeat.interval.ms=500",
                ])
            defer { connector.destroy() }
            try self.expectSameTables(shop, server)
            // The topic is the key of what came through Kafka; what orders it stands in a header.
            let events = try shop.log("#")
            #expect(Set(events.map(\.key)) == ["shop.corner"])
            let customer = Event.Header("kafka-key", "shop.customer.customer_log_003")
            let told = events.filter { $0.text.contains("\"customer_log_003\"") }
            #expect(told.count >= 3 && told.allSatisfy { $0.headers.contains(customer) })
            #expect(events.count { $0.headers.contains(customer) } == told.count)
            let consumer = try shop.start("consume")
            defer { consumer.destroy() }
            let client = try BlockingClient(server.uri)
            var bad = Event(key: "shop.corner", "nonsense")
            bad.headers = [customer]
            var behind = try #require(events.last)
            behind.headers = [customer]
            var other = try #require(events.last)
            other.headers = [Event.Header("kafka-key", "shop.customer.customer_log_004")]
            try client.publish([bad, behind, other])
            try eventually("its customer waits behind it, and nobody else", seconds: 60) {
                try shop.database.query("SELECT state FROM shop.worker_aside ORDER BY position")
                    .split(separator: "\n") == ["parked", "behind"]
            }
        }

        @Test func tablesAndOutboxChangeTogetherOrNotAtAll() throws {
            let schema = "shop_\(UInt32.random(in: .min ... .max))"
            let database = try SharedServer.database()
            let shop = try Application(
                "shop", ["--via", "db", "--through", "outbox", "--schema", schema],
                database: database)
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let path = "\(folder)/events"
            let customer = """
                {"event_type":"new_customer","id":"c1","first_name":"A","last_name":"B","address":"C"}
                """
            let purchase = """
                {"event_type":"customer_buys_product","id":"p1","customer_id":"nobody","product_id":"m",\
                "product_type":"m","product_name":"m","price":64,"quantity":2,"bought_at":1}
                """
            try "\(customer)\n\(purchase)\n".write(toFile: path, atomically: true, encoding: .utf8)
            #expect(try shop.outcome("send", path).end == .exit(70))
            #expect(try shop.list("customers").isEmpty)
            try "\(customer)\n\(purchase.replacing("nobody", with: "c1"))\n".write(
                toFile: path, atomically: true, encoding: .utf8)
            #expect(try shop.run("send", path) == "2 events sent\n")
            // In the tables at once, in the log soon, and once.
            #expect(try shop.list("purchases").map { $0["value_minor"] } == ["128"])
            try eventually("the outbox is in the log") { try shop.log("shop.#").count == 2 }
            let consumer = try shop.start("consume")
            defer { consumer.destroy() }
            try eventually("the consumer has passed them", seconds: 60) {
                (try? database.number("SELECT max(position) FROM \(schema).worker")) == 2
            }
            #expect(try shop.list("customers").map { $0["purchases"] } == ["1"])
            #expect(
                try shop.log("shop.#").map(\.key) == [
                    "shop.customer.c1.new", "shop.customer.c1.buys",
                ])
        }

        @Test func waysThatAreNotThereAreSaid() throws {
            let shop = try Application("shop")
            func expect(_ code: Int32, _ text: String, _ flags: String...) throws {
                let outcome = try shop.outcome("customers", "make", with: flags)
                #expect(outcome.end == .exit(code) && outcome.errors.contains(text), "\(outcome)")
            }
            try expect(64, "the database has no outbox", "--through", "outbox")
            try expect(64, "it may be dormouse, outbox", "--through", "post")
            try expect(64, "expected amqp://", "--through", "rabbitmq", "--rabbitmq", "localhost")
            try expect(
                1, "RabbitMQ: cannot connect", "--through", "rabbitmq", "--rabbitmq",
                "amqp://127.0.0.1:1")
            // Straight into the tables, so no way is gone.
            try shop.run("products", "make", "--via", "db", "--through", "kafka")
            #expect(try shop.list("products").count == 13 && shop.log("#").isEmpty)
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let path = "\(folder)/events"
            try "{\"event_type\":\"nonsense\"}\n".write(
                toFile: path, atomically: true, encoding: .utf8)
            let bad = try shop.outcome("send", path)
            #expect(bad.end == .exit(64) && bad.errors.contains("line 1: unknown event_type"))
        }
    }
}
