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
            let stopped = try market.start("gather")
            try eventually("it goes on", seconds: 60) {
                stopped.errors.contains("create_token_data_events goes on with event \(kept)")
            }
            stopped.signal(SIGINT)
            #expect(try stopped.wait() == .exit(1))
            #expect(stopped.errors.contains("stopped; the same command goes on from here"))
            let left = try self.numbers(scene).count
            let second = try market.outcome("gather")
            #expect(second.errors.contains("create_token_data_events goes on with event \(left)"))
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

        @Test func nodesWithSmallPagesAreReadToTheEnd() throws {
            let scene = try MarketScene(["--tokens", "40", "--page", "7"])
            try scene.market.run("source", "--once")
            try scene.expectStreams(40)
            let gathered = try scene.market.run("gather")
            #expect(gathered == "1 collections looked at\n40 tokens looked at\n")
        }

        /// One contract, and events of each account that uses it: each stream counts from 0.
        @Test func accountsWithTheSameHandleAreNotTakenForEachOther() throws {
            let scene = try MarketScene(["--tokens", "8"])
            let account = scene.account
            let flags = ["--groups", "market"]
            func publish(_ more: [String]) throws -> Int {
                let outcome = try scene.market.outcome("source", "--once", with: flags + more)
                #expect(outcome.end == .exit(0), "\(outcome.errors)")
                return try scene.log("market.list").count
            }
            #expect(try publish([]) == 10)
            let handle = ["--market-handle", "\(account)::FixedMarket::FixedMarketEvents"]
            #expect(try publish(handle) == 10)
            #expect(try publish(handle + ["--account", "0xabc"]) == 20)
            #expect(try publish(handle + ["--account", "0xabc"]) == 20)
        }

        @Test func anArchiveIsAskedForWhatAnotherNodeHasPruned() throws {
            let pruned = try MarketScene(["--tokens", "8", "--pruned", "3"])
            let scene = try MarketScene(["--tokens", "8"], aheadOfNode: "\(pruned.url),")
            let outcome = try scene.market.outcome("source", "--once")
            #expect(outcome.end == .exit(0), "\(outcome.errors)")
            try scene.expectStreams(8)
            // Named twice is meant once.
            let again = try scene.market.outcome(
                "source", "--once", "--groups", "market, offer,market")
            #expect(again.end == .exit(0), "\(again.errors)")
        }

        @Test func aFileIsGatheredOnce() throws {
            let scene = try MarketScene(["--tokens", "1"])
            let market = scene.market
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let path = "\(folder)/collections.json"
            func gather(_ text: String, _ more: String...) throws -> Command.Outcome {
                try text.write(toFile: path, atomically: true, encoding: .utf8)
                return try market.outcome("gather", "--file", path, with: more)
            }
            let first = #"{"creator":"0xc","name":"One","maximum":"9007199254740993"}"#
            let second = #"""
                {"creator":"0xc","name":"Two","description":"d","uri":"u","tokens":[
                    {"name":"Łoś"},{"name":"b","description":"e","uri":"v"}]}
                """#
            // With a mistake nothing of it is told.
            let wrong = try gather("[\(first),{\"name\":\"Two\"}]")
            #expect(wrong.end == .exit(64))
            #expect(wrong.errors.contains("is no list of collections: 2. 'creator' is missing"))
            let number = try gather(#"[{"creator":"0xc","name":"a","maximum":1}]"#)
            #expect(number.end == .exit(64) && number.errors.contains("1. maximum "))
            #expect(try scene.log("market.#").isEmpty)
            for _ in 1...2 {
                let outcome = try gather("[\(first),\(second)]")
                #expect(outcome.output == "2 collections, 2 tokens\n", "\(outcome.errors)")
                #expect(try scene.log("market.#").count == 4)
            }
            #expect(try gather("[\(first),\(second)]", "--collection", "One").end == .exit(0))
            #expect(try scene.log("market.#").count == 5)
            let worker = try market.start("work", "creation")
            defer { worker.destroy() }
            try eventually("they are there", seconds: 60) {
                guard worker.isRunning else { throw Problem(worker.errors) }
                return try market.list("tokens").map { "\($0["token"] ?? "") \($0["owner"] ?? "")" }
                    == ["b 0xc", "Łoś 0xc"]
            }
            #expect(
                try market.list("collections").map {
                    "\($0["collection"] ?? "") \($0["maximum"] ?? "") \($0["tokens"] ?? "")"
                } == ["One 9007199254740993 0", "Two 0 2"])
            #expect(try market.list("activities").isEmpty)
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
