import DormouseClient
import Foundation
import Testing

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// The market, with a node that has the manners of public ones.
    @Suite(.serialized)
    struct MarketTests {
        /// What the chain of so many tokens leaves behind; computed from its rules, not from the tables.
        private func expectTables(_ market: Application, _ tokens: Int) throws {
            var states: [String] = []
            var owners: [String] = []
            var volume = 0
            for number in 1...tokens {
                let name = "Dormouse #\(number)"
                var owner: String?
                switch number % 4 {
                case 0:
                    states += ["\(name) \(number) CANCELED", "\(name) \(100_000 + number) LISTING"]
                case 1, 2:
                    states.append("\(name) \(number) SOLD")
                    owner = number % 4 == 1 ? "0xc\(number % 5)" : "0xb\(number % 7)"
                    volume += 150_000_000 + number
                    if number % 4 == 1 { volume += 200_000_000 + number }
                default: states.append("\(name) \(number) LISTING")
                }
                if number % 32 == 3 {
                    owner = "0xe\(number % 5)"
                    volume += 300_000_000 + number
                }
                owners.append("\(name) \(owner ?? "null")")
                if number % 8 == 3 { owners.append("Gallery #\(number) \(Self.creator)") }
            }
            let sold = (1...tokens).count { $0 % 32 == 3 }
            let redeemed = (1...tokens).count { $0 % 32 == 19 }
            func rows(_ list: String, _ keys: String...) throws -> [String] {
                try market.list(list).map { row in
                    keys.map { row[$0] ?? "?" }.joined(separator: " ")
                }.sorted()
            }
            #expect(try rows("orders", "token", "offer", "status") == states.sorted())
            #expect(try rows("tokens", "token", "owner") == owners.sorted())
            #expect(
                try rows("collections", "sales", "volume") == [
                    "0 0", "\(tokens / 2 + tokens / 4 + sold) \(volume)",
                ])
            let offers = (1...tokens).filter { [1, 2].contains($0 % 4) }.map {
                "Dormouse #\($0) \($0 % 4 == 1 ? "ACCEPTED" : "CANCELED")"
            }
            #expect(try rows("offers", "token", "status") == offers.sorted())
            let currencies = try rows("sales", "currency").filter { $0 != "null" }
            #expect(currencies.count == tokens / 2 + tokens / 4)
            #expect(currencies.allSatisfy { $0 == "0x1::aptos_coin::AptosCoin" })
            let activities = try market.list("activities").map { $0["operation"] ?? "" }
            let counts = Dictionary(activities.map { ($0, 1) }, uniquingKeysWith: +)
            #expect(
                counts == [
                    "LIST": tokens + tokens / 4, "CANCEL": tokens / 4,
                    "SALE": tokens / 2 + tokens / 4 + sold, "OFFER": tokens / 2,
                    "CANCEL OFFER": tokens / 4, "EXHIBIT": sold + redeemed,
                    "FROZEN": sold + redeemed, "REDEEMED": redeemed,
                    "MINT": (1...tokens).count { $0 % 8 == 3 },
                ])
            try self.expectCuration(market, tokens)
        }

        private func expectCuration(_ market: Application, _ tokens: Int) throws {
            let shown = (1...tokens).filter { $0 % 8 == 3 }
            let galleries = try market.list("galleries")
            #expect(
                galleries.map { "\($0["gallery"] ?? "") \($0["name"] ?? "") \($0["owner"] ?? "")" }
                    == shown.map { "\($0) Gallery #\($0) 0xd\($0 % 3)" })
            let ends = [3: "SOLD", 19: "REDEEMED"]
            #expect(
                try market.list("exhibits").map {
                    "\($0["token"] ?? "") \($0["status"] ?? "") \($0["price"] ?? "") \($0["buyer"] ?? "")"
                }
                    == shown.compactMap { number in
                        ends[number % 32].map { end in
                            "Dormouse #\(number) \(end) \(300_000_000 + number) "
                                + (end == "SOLD" ? "0xe\(number % 5)" : "null")
                        }
                    })
            let answers = [3: "ACCEPTED", 11: "REJECTED", 19: "ACCEPTED", 27: "CANCELED"]
            #expect(
                try market.list("curations").map { "\($0["offer"] ?? "") \($0["status"] ?? "")" }
                    == shown.map { "\($0) \(answers[$0 % 32] ?? "")" })
            // Seconds there, microseconds in the tables.
            #expect(
                try market.database.query(
                    "SELECT DISTINCT ended_at FROM market.curation_offer") == "1666990000000000")
        }

        private static let creator =
            "0xf932dcb9835e681b21d2f411ef99f4f5e577e6ac299eebee2272a39fb348f702"

        private func waitForWorkers(_ market: Application, _ workers: [Child]) throws {
            let sql = "SELECT count(*) = 5 FROM market.worker"
            try eventually("all workers have begun", seconds: 60) {
                for worker in workers where !worker.isRunning { throw Problem(worker.errors) }
                return (try? market.database.query(sql)) == "t"
            }
        }

        @Test func eachEventOfTheNodeIsInTheLogOnceHoweverOftenTheSourceIsKilled() throws {
            var random = SeededNumbers.fresh(for: "kill -9 of the market's source")
            let scene = try MarketScene(
                ["--tokens", "320", "--per-second", "100", "--busy", "29", "--broken", "17"])
            for _ in 1...8 {
                let source = try scene.market.start("source", "--interval", "0.01")
                usleep(UInt32.random(in: 50_000...400_000, using: &random))
                source.signal(SIGKILL)
                #expect(try source.wait() == .signal(SIGKILL))
            }
            // The whole chain has come to light by then.
            try eventually("everything is there", seconds: 120) {
                try scene.market.run("source", "--once")
                return try scene.log("market.list").count == 400
            }
            try scene.expectStreams(320)
        }

        @Test func theNewerOfTwoSourcesTakesOver() throws {
            // The older one finds out when it has something to tell: the chain goes on for as long as this may take.
            let scene = try MarketScene(["--tokens", "3000", "--per-second", "50"])
            let older = try scene.market.start("source", "--interval", "0.02")
            defer { older.destroy() }
            try eventually("the older one works") { try !scene.log("market.list").isEmpty }
            let newer = try scene.market.start("source", "--interval", "0.02")
            defer { newer.destroy() }
            #expect(try older.wait() == .exit(75))
            #expect(older.errors.contains("somebody else carries these events into the log"))
            let before = try scene.log("market.list").count
            try eventually("the newer one works") {
                guard newer.isRunning else { throw Problem(newer.errors) }
                return try scene.log("market.list").count > before + 25
            }
            newer.signal(SIGTERM)
            #expect(try newer.wait() == .exit(0))
            try scene.expectWholeStreams()
        }

        /// Between asking the node and telling the server, too.
        @Test func aSourceThatIsToldToEndEndsWell() throws {
            let scene = try MarketScene(["--tokens", "3000", "--per-second", "50"])
            for _ in 1...10 {
                let before = try scene.log("market.list").count
                let source = try scene.market.start("source", "--interval", "0.01")
                defer { source.destroy() }
                try eventually("it works") { try scene.log("market.list").count > before }
                source.signal(SIGTERM)
                #expect(try source.wait() == .exit(0), "\(source.errors)")
            }
            try scene.expectWholeStreams()
        }

        @Test func busyAndSlowNodesAreWaitedFor() throws {
            let scene = try MarketScene(
                ["--tokens", "40", "--busy", "4", "--strange", "5", "--slow", "7"],
                market: ["--node-timeout", "0.5"])
            let outcome = try scene.market.outcome("source", "--once")
            #expect(outcome.end == .exit(0))
            // As long as Retry-After asks for: a second, which is more than the first pause.
            #expect(outcome.errors.contains("the node answers 429, asking again in 1000 ms"))
            // As something on the way to the node may do.
            #expect(outcome.errors.contains("the node's answer is no JSON, asking again in"))
            try scene.expectStreams(40)
        }

        @Test func whatTheNodeHasPrunedIsSaidAndNotPassedOver() throws {
            let scene = try MarketScene(["--tokens", "40", "--pruned", "3"])
            let refused = try scene.market.outcome("source", "--once")
            #expect(refused.end == .exit(1) && refused.errors.contains("--skip-pruned"))
            #expect(try scene.log("market.#").isEmpty)
            let skipped = try scene.market.outcome("source", "--once", "--skip-pruned")
            #expect(skipped.end == .exit(0))
            #expect(skipped.errors.contains("list_token_events: events 0 to 2 are pruned"))
            #expect(
                try scene.log("market.list").map { "\($0.fields["sequence_number"] ?? "")" }
                    == (3..<50).map(String.init))
        }

        /// Five workers share the tables; all of them end at instants that nobody chose, again and again.
        @Test func workersThatAreKilledLeaveTheTablesOfTheChain() throws {
            var random = SeededNumbers.fresh(for: "kill -9 of the market's workers")
            let scene = try MarketScene(["--tokens", "80"])
            let market = scene.market
            try market.run("source", "--once")
            for _ in 1...10 {
                let workers = try market.start("work")
                usleep(UInt32.random(in: 100_000...600_000, using: &random))
                workers.signal(SIGKILL)
                #expect(try workers.wait() == .signal(SIGKILL))
            }
            let workers = try market.start("work")
            defer { workers.destroy() }
            // Those before may not have lived to make the tables.
            try self.waitForWorkers(market, [workers])
            try eventually("everything is applied, and everybody is told", seconds: 120) {
                guard workers.isRunning else { throw Problem(workers.errors) }
                return try market.database.query(
                    """
                    SELECT (SELECT count(*) FROM market.activity), (SELECT count(*) FROM market.worker_aside),
                        (SELECT count(*) FROM market.worker_outgoing),
                        (SELECT count(*) FROM market.token WHERE uri <> ''),
                        (SELECT count(*) FROM market.curation_offer WHERE status = 'CREATED')
                    """) == "265|0|0|10|0"
            }
            try self.expectTables(market, 80)
            let told = try scene.log("market.notification.#").map(\.key)
            #expect(told.count { $0.hasSuffix("MarketOrderFilled") } == 40)
            #expect(told.count { $0.hasSuffix("CurationOfferReceived") } == 10)
        }

        @Test func purchasesWaitForTheirListingsAndTheTablesAreThoseOfTheChain() throws {
            let scene = try MarketScene(["--tokens", "40"])
            let market = scene.market
            try market.run("source", "--once")
            // The others first: everything waits for its cause.
            let buy = try market.start("work", "buy")
            defer { buy.destroy() }
            try eventually("purchases wait", seconds: 60) {
                let waiting = "SELECT count(*) FROM market.worker_aside WHERE state = 'waiting'"
                return (try? market.database.number(waiting)) == 20
            }
            #expect(try market.list("sales").isEmpty)
            #expect(try market.run("worker", "parked").contains("is not listed yet"))
            let list = try market.start("work", "list")
            defer { list.destroy() }
            let others = try ["offer", "creation", "curation"].map { try market.start("work", $0) }
            defer { for worker in others { worker.destroy() } }
            try self.waitForWorkers(market, [buy, list] + others)
            try eventually("nothing waits", seconds: 60) {
                try market.list("sales").count == 32 && market.list("activities").count == 134
                    && market.list("curations").allSatisfy { $0["status"] != "CREATED" }
            }
            try self.expectTables(market, 40)
            for (list, titles) in [
                "orders": "TOKEN         OFFER   STATUS    PRICE      CURRENCY",
                "offers": "TOKEN         OFFER  STATUS    PRICE      CURRENCY",
                "activities": "POSITION  OPERATION     TOKEN         PRICE",
                "collections": "COLLECTION      CREATOR",
            ] {
                #expect(try market.run(list, "list").hasPrefix(titles), "\(list)")
            }
            // Who sold and who bought is told, once.
            try eventually("all is published") {
                try market.database.number("SELECT count(*) FROM market.worker_outgoing") == 0
            }
            let told = try scene.log("market.notification.#").map {
                $0.key.split(separator: ".")[2]
            }
            #expect(told.filter { $0 == "MarketOrderFilled" }.count == 20)
            #expect(told.filter { $0 == "MarketOfferAccepted" }.count == 10)
            for (kind, count) in [
                "CurationOfferReceived": 5, "CurationOfferAccepted": 3,
                "CurationOfferRejected": 1, "CurationOfferCanceled": 1, "CurationExhibitSold": 2,
            ] {
                #expect(told.filter { $0 == kind }.count == count, "of \(kind)")
            }
            let workers = try market.run("worker", "list").split(separator: "\n")
            #expect(workers.count == 6)

            // The same tables again, from the log, without telling anybody twice.
            let before = try scene.log("market.notification.#").count
            try market.run("worker", "rebuild")
            try self.expectTables(market, 40)
            for worker in [buy, list] + others { #expect(try worker.wait() == .exit(75)) }
            let all = try market.start("work")
            defer { all.destroy() }
            try eventually("all five are one program now", seconds: 60) {
                guard all.isRunning else { throw Problem(all.errors) }
                return try market.database.number("SELECT min(epoch) FROM market.worker") >= 3
            }
            all.signal(SIGTERM)
            #expect(try all.wait() == .exit(0))
            #expect(try scene.log("market.notification.#").count == before)
        }
    }
}
