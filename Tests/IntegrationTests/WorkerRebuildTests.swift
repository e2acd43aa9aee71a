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
            #expect(try setting.aside() == ["broken parked 3", "2 behind 0"])
            #expect(ledger.effects.current.filter { $0 != "broken" } == effects)
            #expect(
                try setting.database.query(
                    "SELECT count(*) FROM pg_namespace WHERE nspname IN ('ledger_old', 'ledger_rebuild')"
                )
                    == "0")
            // The worker goes on with them; what was never applied still has its effects.
            ledger.isMended.withLock { $0 = true }
            let again = try setting.start(options, ledger)
            #expect(try setting.asideEvents().retry() == 1)
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
                Rebuild([(setting.options("one"), Ledger())], until: stop))
            #expect(try !stopped.run())
            #expect(try setting.applied() == ["1", "1"])
        }
    }
}
