import DormouseClient
import Foundation
import Testing

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// What the market imports, and how it stands amounts and nodes.
    @Suite(.serialized)
    struct MarketGatherTests {
        private static let creator =
            "0xf932dcb9835e681b21d2f411ef99f4f5e577e6ac299eebee2272a39fb348f702"

        private func numbers(_ scene: MarketScene) throws -> [String] {
            try scene.log("market.gather.token").map { "\($0.fields["sequence_number"] ?? "")" }
        }

        @Test func gatheringGoesOnWhereItWasEnded() throws {
            let scene = try MarketScene(["--tokens", "550", "--broken", "3", "--busy", "11"])
            let market = scene.market
            let first = try market.start("gather")
            try eventually("some are there", seconds: 60) { try self.numbers(scene).count >= 100 }
            first.signal(SIGKILL)
            try first.wait()
            let kept = try self.numbers(scene).count
            #expect(kept < 550 && kept.isMultiple(of: 100))
            let second = try market.outcome("gather")
            #expect(second.errors.contains("create_token_data_events goes on with event \(kept)"))
            #expect(second.output == "1 collections looked at\n550 tokens looked at\n")
            #expect(try self.numbers(scene) == (0..<550).map(String.init))
            // Only one collection, which there is not: nothing is taken, and nothing is read twice.
            let none = try market.outcome("gather", "--collection", "Nothing")
            #expect(none.output.contains("550 tokens looked at"))
            #expect(none.errors.contains("create_token_data_events goes on with event 0\n"))
            let again = try market.outcome("gather", "--collection", "Nothing")
            #expect(again.errors.contains("create_token_data_events goes on with event 550\n"))
            #expect(try self.numbers(scene).count == 550)
            // And one that there is.
            try market.run("gather", "--collection", "Sleepy Dormice")
            #expect(try self.numbers(scene).count == 2 * 550)
        }

        @Test func whatWasGatheredIsThereAgainAfterARebuild() throws {
            let scene = try MarketScene(["--tokens", "32"])
            let market = scene.market
            // Before and behind what happens to the tokens; a creator has what was not sold.
            try market.run("source", "--once")
            let workers = try market.start("work")
            defer { workers.destroy() }
            try eventually("everything is sold", seconds: 60) {
                guard workers.isRunning else { throw Problem(workers.errors) }
                return ((try? market.list("sales").count) ?? 0) == 16 + 8 + 1
            }
            try market.run("gather")
            try eventually("everything is gathered", seconds: 60) {
                try market.database.number(
                    "SELECT count(*) FROM market.token WHERE description = 'asleep'") == 32
            }
            func tables() throws -> [String] {
                try ["token", "collection"].map { table in
                    try market.database.query("SELECT * FROM market.\(table) ORDER BY id")
                }
            }
            let before = try tables()
            #expect(before[0].contains("https://example.com/32"))
            #expect(
                before[1].contains("18446744073709551615") && before[1].contains("{walls,light}"))
            let owners = try market.list("tokens").map { $0["owner"] }
            #expect(owners.count { $0 == Self.creator } == 8 + 8 + 4 - 1)
            try market.run("worker", "rebuild")
            #expect(try tables() == before)
        }

        @Test func aBarShowsHowFarGatheringIs() throws {
            let scene = try MarketScene(["--tokens", "250"])
            let terminal = try Terminal(scene.market.command("gather"))
            #expect(try terminal.wait() == .exit(0))
            for part in ["[############------------------] 100/250 tokens", "] 250/250 tokens"] {
                #expect(terminal.shown.contains(part), "\(terminal.shown)")
            }
        }

        @Test func amountsAreWholeNumbersOfAnySize() throws {
            let scene = try MarketScene(["--tokens", "1"])
            let market = scene.market
            let workers = try market.start("work")
            defer { workers.destroy() }
            let client = try BlockingClient(
                SharedServer.server().uri(), options: ["exchange": market.exchange])
            func publish(_ what: String, _ id: Int, price: String, quantity: String = "1") throws {
                let list = try #require(try scene.log("market.list").first?.fields["data"])
                var data = try #require(list as? [String: Any])
                data["offer_id"] = String(id)
                data["buyer"] = "0xb"
                data["token_amount"] = quantity
                data["price"] =
                    price.hasPrefix("#")
                    ? try JSONSerialization.jsonObject(
                        with: Data(price.dropFirst().utf8), options: .fragmentsAllowed) : price
                let json = try JSONSerialization.data(withJSONObject: ["data": data])
                try client.publish([Event(key: "market.\(what)", payload: Array(json))])
            }
            try market.run("source", "--once", "--groups", "market")
            let largest = String(repeating: "9", count: 77)
            // 2^53 + 1, which no double can hold, and more.
            for (id, price) in [(100, "9007199254740993"), (101, largest)] {
                try publish("list", id, price: price)
                try publish("buy", id, price: price, quantity: "3")
            }
            // A JSON number may have gone through a double on its way; a fraction is no amount.
            try publish("list", 200, price: "#9007199254740993")
            try publish("list", 201, price: "1.5")
            try eventually("the good are sold and the bad are parked", seconds: 60) {
                guard workers.isRunning else { throw Problem(workers.errors) }
                return try market.list("sales").count == 3
                    && market.run("worker", "parked").components(separatedBy: " parked ").count == 3
            }
            let orders = try market.list("orders").map {
                "\($0["offer"] ?? "") \($0["price"] ?? "")"
            }
            #expect(orders == ["1 150000001", "100 9007199254740993", "101 \(largest)"])
            #expect(
                try market.database.query("SELECT volume FROM market.collection")
                    == "3\(String(repeating: "0", count: 60))27021597914222977")
            #expect(
                try market.database.query(
                    """
                    SELECT count(*) FROM information_schema.columns WHERE table_schema = 'market'
                        AND data_type IN ('real', 'double precision')
                    """) == "0")
        }

        @Test func anotherNodeIsAskedWhenOneFails() throws {
            let scene = try MarketScene(["--tokens", "8"], aheadOfNode: "http://127.0.0.1:1,")
            let outcome = try scene.market.outcome("source", "--once")
            #expect(outcome.end == .exit(0))
            #expect(outcome.errors.contains("asking again in"))
            try scene.expectStreams(8)
            // The account's handle is another one than usual.
            let other = try scene.market.outcome(
                "source", "--once", "--market-handle", "0x1::other::Events")
            #expect(other.end == .exit(64) && other.errors.contains("struct_field_not_found"))
            let wrong = try scene.market.outcome("source", "--once", "--groups", "markt")
            #expect(wrong.end == .exit(64) && wrong.errors.contains("it may be market, offer"))
        }

        @Test func aPartOfAnOfferMayBeAccepted() throws {
            let scene = try MarketScene(["--tokens", "1"])
            let market = scene.market
            try market.run("source", "--once")
            let workers = try market.start("work")
            defer { workers.destroy() }
            try eventually("the offer is accepted", seconds: 60) {
                (try? market.list("offers").map { $0["status"] ?? "" }) == ["ACCEPTED"]
            }
            let client = try BlockingClient(
                SharedServer.server().uri(), options: ["exchange": market.exchange])
            func publish(_ what: String, quantity: String, isEnd: Bool) throws {
                let fields = try #require(try scene.log("market.accept").first?.fields["data"])
                var data = try #require(fields as? [String: Any])
                data["event_id"] = "77"
                data["token_amount"] = quantity
                data["is_offer_end"] = isEnd
                let json = try JSONSerialization.data(withJSONObject: ["data": data])
                try client.publish([Event(key: "market.\(what)", payload: Array(json))])
            }
            // A part of it before it is made: that waits.
            try publish("accept", quantity: "2", isEnd: false)
            try publish("offer", quantity: "5", isEnd: false)
            let sql = "SELECT status || ' ' || quantity FROM market.offer WHERE event_id = 77"
            try eventually("a part is taken") { try market.database.query(sql) == "CREATED 3" }
            try publish("accept", quantity: "3", isEnd: true)
            try eventually("it is taken") { try market.database.query(sql) == "ACCEPTED 3" }
        }
    }
}
