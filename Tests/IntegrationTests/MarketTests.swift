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
        /// A node, and an application that asks it.
        private final class Scene {
            let node: Child
            let market: Application
            private let folder: String

            init(_ flags: [String], market more: [String] = []) throws {
                self.folder = try Folder.make()
                let node = try Child(
                    ["\(Server.binaries)/market-node"] + flags, in: self.folder, label: "node")
                self.node = node
                try eventually("the node listens") { node.output.contains("account ") }
                let lines = node.output.split(separator: "\n")
                self.market = try Application(
                    "market",
                    [
                        "--node", String(lines[0].dropFirst("listening on ".count)), "--account",
                        String(lines[1].dropFirst("account ".count)),
                    ] + more)
            }

            deinit {
                self.node.destroy()
                Folder.remove(self.folder)
            }

            /// Keys and payloads of the log.
            func log(_ pattern: String) throws -> [(key: String, fields: [String: Any])] {
                try self.market.log(pattern).map { event in
                    let content = try JSONSerialization.jsonObject(with: Data(event.payload))
                    return (event.key, content as? [String: Any] ?? [:])
                }
            }

            /// Each stream has these sequence numbers, once and in order.
            func expectStreams(_ tokens: Int) throws {
                let counts = [
                    "market.list": tokens + tokens / 4, "market.buy": tokens / 2,
                    "market.delist": tokens / 4, "market.offer": tokens / 2,
                    "market.accept": tokens / 4, "market.cancel": tokens / 4,
                ]
                var numbers: [String: [String]] = [:]
                for event in try self.log("market.*") {
                    numbers[event.key, default: []].append(
                        "\(event.fields["sequence_number"] ?? "")")
                }
                for (key, count) in counts {
                    #expect(numbers[key] == (0..<count).map(String.init), "of \(key)")
                }
            }
        }

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
                owners.append("\(name) \(owner ?? "null")")
            }
            func rows(_ list: String, _ keys: String...) throws -> [String] {
                try market.list(list).map { row in
                    keys.map { row[$0] ?? "?" }.joined(separator: " ")
                }.sorted()
            }
            #expect(try rows("orders", "token", "offer", "status") == states.sorted())
            #expect(try rows("tokens", "token", "owner") == owners.sorted())
            #expect(
                try rows("collections", "sales", "volume") == [
                    "\(tokens / 2 + tokens / 4) \(volume)"
                ])
            let offers = (1...tokens).filter { [1, 2].contains($0 % 4) }.map {
                "Dormouse #\($0) \($0 % 4 == 1 ? "ACCEPTED" : "CANCELED")"
            }
            #expect(try rows("offers", "token", "status") == offers.sorted())
            #expect(try rows("sales", "currency").allSatisfy { $0 == "0x1::aptos_coin::AptosCoin" })
            let activities = try market.list("activities").map { $0["operation"] ?? "" }
            let counts = Dictionary(activities.map { ($0, 1) }, uniquingKeysWith: +)
            #expect(
                counts == [
                    "LIST": tokens + tokens / 4, "CANCEL": tokens / 4,
                    "SALE": tokens / 2 + tokens / 4, "OFFER": tokens / 2,
                    "CANCEL OFFER": tokens / 4,
                ])
        }

        private func waitForWorkers(_ market: Application, _ workers: [Child]) throws {
            let sql = "SELECT count(*) = 3 FROM market.worker"
            try eventually("all workers have begun", seconds: 60) {
                for worker in workers where !worker.isRunning { throw Problem(worker.errors) }
                return (try? market.database.query(sql)) == "t"
            }
        }

        @Test func eachEventOfTheNodeIsInTheLogOnceHoweverOftenTheSourceIsKilled() throws {
            var random = SeededNumbers.fresh(for: "kill -9 of the market's source")
            let scene = try Scene(
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

        @Test func busyAndSlowNodesAreWaitedFor() throws {
            let scene = try Scene(
                ["--tokens", "40", "--busy", "4", "--slow", "7"],
                market: ["--node-timeout", "0.5"])
            let outcome = try scene.market.outcome("source", "--once")
            #expect(outcome.end == .exit(0))
            // As long as Retry-After asks for: a second, which is more than the first pause.
            #expect(outcome.errors.contains("the node answers 429, asking again in 1000 ms"))
            try scene.expectStreams(40)
        }

        @Test func whatTheNodeHasPrunedIsSaidAndNotPassedOver() throws {
            let scene = try Scene(["--tokens", "40", "--pruned", "3"])
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

        @Test func purchasesWaitForTheirListingsAndTheTablesAreThoseOfTheChain() throws {
            let scene = try Scene(["--tokens", "40"])
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
            let offer = try market.start("work", "offer")
            defer { offer.destroy() }
            try self.waitForWorkers(market, [buy, list, offer])
            try eventually("nothing waits", seconds: 60) {
                try market.list("sales").count == 30 && market.list("activities").count == 120
            }
            try self.expectTables(market, 40)
            // Who sold and who bought is told, once.
            try eventually("all is published") {
                try market.database.number("SELECT count(*) FROM market.worker_outgoing") == 0
            }
            let told = try scene.log("market.notification.#").map {
                $0.key.split(separator: ".")[2]
            }
            #expect(told.filter { $0 == "MarketOrderFilled" }.count == 20)
            #expect(told.filter { $0 == "MarketOfferAccepted" }.count == 10)
            let workers = try market.run("worker", "list").split(separator: "\n")
            #expect(workers.count == 4)

            // The same tables again, from the log, without telling anybody twice.
            let before = try scene.log("market.notification.#").count
            try market.run("worker", "rebuild")
            try self.expectTables(market, 40)
            for worker in [buy, list, offer] { #expect(try worker.wait() == .exit(75)) }
            let all = try market.start("work")
            defer { all.destroy() }
            try eventually("all three are one program now", seconds: 60) {
                guard all.isRunning else { throw Problem(all.errors) }
                return try market.database.number("SELECT min(epoch) FROM market.worker") >= 3
            }
            all.signal(SIGTERM)
            #expect(try all.wait() == .exit(0))
            #expect(try scene.log("market.notification.#").count == before)
        }

        @Test func gatheringGoesOnWhereItWasEnded() throws {
            let creator = "0xf932dcb9835e681b21d2f411ef99f4f5e577e6ac299eebee2272a39fb348f702"
            let scene = try Scene(["--tokens", "950", "--broken", "3", "--busy", "11"])
            let market = scene.market
            func tokens() throws -> Int {
                try market.database.number("SELECT count(*) FROM market.token")
            }
            let first = try market.start("gather")
            try eventually("some are there", seconds: 60) { (try? tokens()) ?? 0 >= 100 }
            first.signal(SIGKILL)
            try first.wait()
            let kept = try tokens()
            let next = try market.database.query(
                "SELECT next FROM market.gathered WHERE what = 'tokens'")
            #expect(String(kept) == next)
            #expect(try market.run("gather").contains("950 tokens looked at"))
            #expect(try tokens() == 950)
            let collections = try market.list("collections")
            #expect(collections.count == 1 && collections[0]["tokens"] == "950")
            #expect(collections[0]["maximum"] == "18446744073709551615")
            #expect(collections[0]["creator"] == creator)
            // Only one collection, which there is not.
            #expect(
                try market.run("gather", "--collection", "Nothing").contains("950 tokens looked at")
            )
            #expect(try tokens() == 950)
        }
    }
}
