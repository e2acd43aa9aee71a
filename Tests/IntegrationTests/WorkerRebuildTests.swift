import DormouseClient
import EventWorker
import Foundation
import Testing

extension Integration {
    /// Fresh tables from the same log.
    @Suite(.serialized)
    struct WorkerRebuildTests {
        @Test func theTablesAreMadeAnewWithoutSideEffects() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            var options = setting.options()
            options.filter = Filter("a.#")
            let worker = try setting.start(options, ledger)
            try setting.publish("a.1=1", "a.2=tell:x", "a.3=broken", "a.3=2", "a.1=3", "other=no")
            try eventually("all is applied or parked") {
                try worker.check()
                return try setting.aside() == ["broken parked 3", "2 behind 0"]
            }
            // And what was given up is not wanted back.
            let last = try setting.publish("a.5=refused", "a.5=4")
            try eventually("it is parked") { try setting.aside().count == 4 }
            #expect(try setting.asideEvents().drop(worker: "ledger", position: last - 1))
            try eventually("its key goes on") { try setting.applied().last == "4" }
            // Somebody has damaged the tables.
            try setting.database.query("DELETE FROM ledger.entry WHERE payload = '1'")
            let effects = ledger.effects.current.filter { $0 != "broken" }
            let rebuild = try #require(
                Rebuild([(options, ledger)], until: try StopSignal()))
            #expect(try rebuild.run())
            #expect(try worker.reason().kind == .replaced)
            #expect(try setting.applied() == ["1", "tell:x", "3", "4"])
            // With all its attempts again: maybe what failed was mended.
            #expect(try setting.aside() == ["broken waiting 0", "2 behind 0"])
            #expect(ledger.effects.current.filter { $0 != "broken" } == effects)
            #expect(
                try setting.database.query(
                    "SELECT count(*) FROM pg_namespace WHERE nspname IN ('ledger_old', 'ledger_rebuild')"
                )
                    == "0")
            // The worker goes on with them; what was never applied still has its effects.
            ledger.isMended.withLock { $0 = true }
            let again = try setting.start(options, ledger)
            try setting.publish("a.4=tell:y")
            try eventually("it goes on") {
                try again.check()
                let applied = try setting.applied()
                // In which order the retried ones and the new one come is not said.
                return applied.filter { $0 != "tell:y" }
                    == ["1", "tell:x", "3", "4", "broken", "2"] && applied.count == 7
            }
            try again.end()
            #expect(Set(ledger.effects.current).isSuperset(of: ["broken", "2", "tell:y"]))
            // "x" was told once, by the first run.
            let client = try BlockingClient(setting.uri)
            var told: [String] = []
            _ = try client.fetch(Filter("told"), after: 0, exchange: setting.exchange) { event in
                told.append(event.copy().text)
                return true
            }
            #expect(told == ["x", "y"])
        }

        @Test func itCatchesUpWithAWorkerThatGoesOn() throws {
            let setting = try WorkerSetting()
            let worker = try setting.start(setting.options())
            for number in 1...300 { try setting.publish("a.\(number % 5)=\(number)") }
            let isOver = Locked(false)
            defer { isOver.withLock { $0 = true } }
            let publisher = Worker("the publisher") {
                var number = 300
                while !isOver.current {
                    number += 1
                    try setting.publish("a.\(number % 5)=\(number)")
                }
                return number
            }
            let rebuild = try #require(
                Rebuild([(setting.options(), Ledger())], until: try StopSignal()))
            #expect(try rebuild.run())
            #expect(try worker.reason().kind == .replaced)
            isOver.withLock { $0 = true }
            let last = try publisher.join()
            let again = try setting.start(setting.options())
            try eventually("all is applied") {
                try again.check()
                return try setting.position() == last
            }
            try again.end()
            #expect(try setting.applied() == (1...last).map(String.init))
        }

        @Test func workersOfOneSchemaAreRebuiltTogether() throws {
            let setting = try WorkerSetting()
            try setting.publish("a=1")
            for name in ["one", "two"] {
                let worker = try setting.start(setting.options(name))
                try eventually("it is applied") {
                    try worker.check()
                    return (try? setting.position(name)) == 1
                }
                try worker.end()
            }
            let half = try #require(
                Rebuild([(setting.options("one"), Ledger())], until: try StopSignal()))
            let error = #expect(throws: WorkerError.self) { try half.run() }
            #expect(error?.message.contains("'two'") == true)
            let whole = try #require(
                Rebuild(
                    [(setting.options("one"), Ledger()), (setting.options("two"), Ledger())],
                    until: try StopSignal()))
            #expect(try whole.run())
            #expect(try setting.applied() == ["1", "1"])
            // A rebuild that is stopped changes nothing.
            let stop = try StopSignal()
            stop.raise()
            let stopped = try #require(
                Rebuild(
                    [(setting.options("one"), Ledger()), (setting.options("two"), Ledger())],
                    until: stop))
            #expect(try !stopped.run())
            #expect(try setting.applied() == ["1", "1"])
        }

        private func told(_ setting: WorkerSetting) throws -> [String] {
            var told: [String] = []
            let client = try BlockingClient(setting.uri)
            _ = try client.fetch(Filter("told"), after: 0, exchange: setting.exchange) { event in
                told.append(event.copy().text)
                return true
            }
            return told
        }

        @Test func whatWasNotAppliedYetKeepsItsEffects() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            var options = setting.options()
            options.filter = Filter("a.#")
            let worker = try setting.start(options, ledger)
            try setting.publish("a.1=tell:x", "a.2=broken", "a.2=tell:behind", "a.4=after:5")
            try eventually("one is applied, and the others are set aside") {
                try worker.check()
                return try setting.aside() == [
                    "broken parked 3", "tell:behind behind 0", "after:5 waiting 0",
                ]
            }
            try worker.end()
            // The worker has ended; this it has not seen.
            try setting.publish("a.3=tell:late", "a.5=5")
            ledger.isMended.withLock { $0 = true }
            let rebuild = try #require(
                Rebuild([(options, ledger)], until: try StopSignal()))
            #expect(try rebuild.run())
            #expect(try setting.applied() == ["tell:x"])
            let again = try setting.start(options, ledger)
            try eventually("all is applied") {
                try again.check()
                return try setting.applied().count == 6
            }
            try eventually("everybody is told") { try self.told(setting).count >= 3 }
            try again.end()
            #expect(try setting.aside() == [])
            #expect(try self.told(setting).sorted() == ["behind", "late", "x"])
            // Twice where an attempt was undone with its transaction, and never as a replay alone.
            #expect(Set(ledger.effects.current).isSuperset(of: ["broken", "after:5", "5"]))
        }

        /// What waited when the rebuild began, and is applied, or dropped, while it goes on.
        @Test func whatStoppedWaitingMeanwhileIsAppliedAsAReplay() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            let worker = try setting.start(setting.options(), ledger)
            let last = try setting.publish("b=refused", "a=broken", "a=2", "b=3", "c=4")
            try eventually("they are set aside") {
                try worker.check()
                return try setting.aside().count == 4 && setting.position() == Int(last)
            }
            let applied = Locked(false)
            let rebuild = try #require(
                Rebuild([(setting.options(), ledger)], until: try StopSignal()))
            let isComplete = try rebuild.run { _, position, _ in
                guard position == last, !applied.current else { return }
                applied.withLock { $0 = true }
                // Here the fresh tables have everything, and the ones in use go on.
                do {
                    ledger.isMended.withLock { $0 = true }
                    let aside = try setting.asideEvents()
                    _ = try aside.retry(worker: "ledger", position: last - 3)
                    _ = try aside.drop(worker: "ledger", position: last - 4)
                    try eventually("all are applied") { try setting.aside() == [] }
                } catch {
                    Issue.record(error)
                }
            }
            #expect(isComplete && applied.current)
            #expect(try worker.reason().kind == .replaced)
            #expect(try setting.aside() == [])
            #expect(try setting.applied().filter { $0 != "3" } == ["4", "broken", "2"])
            #expect(try setting.applied().count == 4)
        }

        @Test func nothingThatIsSomebodyElsesIsDropped() throws {
            let setting = try WorkerSetting()
            try setting.publish("a=1")
            let worker = try setting.start(setting.options())
            try eventually("it is applied") { try setting.position() == 1 }
            try worker.end()
            func refused() throws -> String {
                let rebuild = try #require(
                    Rebuild([(setting.options(), Ledger())], until: try StopSignal()))
                let error = try #require(throws: WorkerError.self) { try rebuild.run() }
                #expect(error.kind == .refused)
                return error.message
            }
            for name in ["ledger_old", "ledger_rebuild"] {
                try setting.database.query(
                    "CREATE SCHEMA \(name); CREATE TABLE \(name).backup AS SELECT 1 AS number")
                #expect(try refused().contains("'\(name)' that no rebuild has made"))
                #expect(try setting.database.number("SELECT number FROM \(name).backup") == 1)
                try setting.database.query("DROP SCHEMA \(name) CASCADE")
            }
            try setting.database.query("CREATE VIEW report AS SELECT payload FROM ledger.entry")
            #expect(try refused().contains("report refers to tables of 'ledger'"))
            #expect(try setting.database.query("SELECT * FROM report") == "1")
            try setting.database.query(
                """
                DROP VIEW report;
                CREATE TABLE note (entry bigint REFERENCES ledger.entry, text text)
                """)
            #expect(try refused().contains("note refers to tables of 'ledger'"))
            var options = setting.options()
            options.schema = String(repeating: "l", count: 56)
            let long = try #require(Rebuild([(options, Ledger())], until: try StopSignal()))
            let error = try #require(throws: WorkerError.self) { try long.run() }
            #expect(error.message.contains("too long a name"))
        }

        @Test func workersThatNeverRanAndOtherExchangesAreNoObstacle() throws {
            let setting = try WorkerSetting()
            let other = try WorkerSetting()
            for number in 1...5 { try setting.publish("a=\(number)") }
            try other.publish("a=6")
            var elsewhere = setting.options("elsewhere")
            elsewhere.exchange = other.exchange
            for options in [setting.options(), elsewhere] {
                let worker = try setting.start(options)
                let head = options.exchange == other.exchange ? 1 : 5
                try eventually("it is applied") {
                    try worker.check()
                    return try setting.position(options.name) == head
                }
                try worker.end()
            }
            let all = [setting.options(), elsewhere, setting.options("never")]
            let rebuild = try #require(
                Rebuild(all.map { ($0, Ledger()) }, until: try StopSignal()))
            #expect(try rebuild.run())
            #expect(try setting.applied().sorted() == (1...6).map(String.init))
            // It begins when it begins, and where it wants to.
            #expect(
                try setting.database.query("SELECT name FROM ledger.worker ORDER BY name")
                    == "elsewhere\nledger")
        }
    }
}
