import DormouseClient
import EventWorker
import Foundation
import Testing

extension Integration {
    /// Whose fault it is: an event that cannot be applied is set aside, trouble is waited for.
    @Suite(.serialized)
    struct WorkerTroubleTests {
        @Test func aStatementThatTakesTooLongDoesNotBlockTheWorker() throws {
            let setting = try WorkerSetting()
            var options = setting.options(attemptsMax: 2)
            options.limits.statementMilliseconds = 1_000
            let worker = try setting.start(options)
            try setting.publish("a=1", "b=slow", "a=2")
            try eventually("it is parked, and the rest flows") {
                try worker.check()
                return try setting.aside() == ["slow parked 2"] && setting.applied() == ["1", "2"]
            }
            #expect(try setting.asideEvents().list()[0].reason.contains("statement timeout"))
            // To wait for somebody else's lock is nobody's fault.
            let holder = try WorkerDatabase(setting.database.conninfo, schema: "ledger")
            try holder.execute("BEGIN")
            try holder.execute("LOCK TABLE entry")
            try setting.publish("c=3")
            try eventually("it waits for the lock") {
                try setting.database.number(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'relation'") > 0
            }
            let waiting = "SELECT attempts FROM ledger.worker WHERE attempts > 1"
            try eventually("it has waited in vain") { worker.logged("lock timeout") }
            #expect(try setting.database.query(waiting).isEmpty)
            try holder.execute("ROLLBACK")
            try eventually("it is applied") { try setting.applied() == ["1", "2", "3"] }
            try worker.end()
        }

        @Test func whatPostgresCannotTakeIsParked() throws {
            let setting = try WorkerSetting()
            let worker = try setting.start(setting.options())
            try setting.publish("a=1", "b=many", "c=copy", "d=zero", "a=2")
            try eventually("they are parked, and the rest flows") {
                try worker.check()
                return try setting.aside() == ["many parked 3", "copy parked 3", "zero parked 3"]
                    && setting.applied() == ["1", "2"]
            }
            try worker.end()
            let reasons = try setting.asideEvents().list().map(\.reason)
            #expect(reasons[0].contains("70000 parameters; 65535 can be sent"))
            #expect(reasons[1].contains("COPY does not work here"))
            #expect(reasons[2].contains("U+0000"))
        }

        /// They come from anywhere, such as a binary key of Kafka.
        @Test func orderingKeysOfAnyKindCanBeSetAside() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            let worker = try setting.start(setting.options(), ledger)
            // Random, so that Postgres cannot make it shorter.
            let long = (0..<300).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }
            let client = try BlockingClient(setting.uri, options: ["exchange": setting.exchange])
            for key in ["a\0b", long.joined()] {
                var events = [Event(key: "a", "broken"), Event(key: "a", "2")]
                for index in events.indices { events[index].headers = [.init("order", key)] }
                try client.publish(events)
                try setting.publish("a=3")
            }
            try eventually("they are parked with their keys, and the rest flows") {
                try worker.check()
                return try setting.applied() == ["3", "3"]
                    && setting.aside() == [
                        "broken parked 3", "2 behind 0", "broken parked 3", "2 behind 0",
                    ]
            }
            ledger.isMended.withLock { $0 = true }
            #expect(try setting.asideEvents().retry() == 2)
            try eventually("their keys go on") { try setting.aside() == [] }
            try worker.end()
            #expect(try setting.applied().count == 6)
        }

        @Test func aConnectionThatWasEndedForItsSilenceIsMadeAgain() throws {
            let setting = try WorkerSetting()
            var options = setting.options()
            // For the worker alone: who looks may take its time.
            options.database += " options='-c idle_session_timeout=100'"
            let worker = try setting.start(options)
            for number in 1...3 {
                try eventually("Postgres has ended the connection") {
                    try setting.database.number(
                        """
                        SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'dormouse worker'
                        """) == 0
                }
                try setting.publish("a=\(number)")
                try eventually("it is applied") {
                    try worker.check()
                    return try setting.applied().count == number
                }
            }
            try worker.end()
        }

        @Test func whatCannotBePublishedDoesNotEndTheWorkerForEver() throws {
            let setting = try WorkerSetting()
            let worker = try setting.start(setting.options())
            try setting.publish("a=1", "b=misspelt", "a=2")
            try eventually("it is parked, and the rest flows") {
                try worker.check()
                return try setting.aside() == ["misspelt parked 3"]
                    && setting.applied() == ["1", "2"]
            }
            #expect(try setting.asideEvents().list()[0].reason.contains("has the key 'no key'"))
            // To an exchange that is made later: what to do is said.
            let later = "\(setting.exchange)-later"
            try setting.publish("c=tellall:\(later)")
            let error = try worker.reason()
            #expect(error.kind == .server && error.message.contains("worker_outgoing"))
            let client = try BlockingClient(setting.uri)
            try client.createExchange(later)
            let again = try setting.start(setting.options())
            try eventually("all of it is published, in order", seconds: 60) {
                try again.check()
                var told: [Character] = []
                var after: UInt64 = 0
                while true {
                    let page = try client.fetch(.everything, after: after, exchange: later) {
                        if let first = $0.copy().text.first { told.append(first) }
                        return true
                    }
                    guard page.upto > after else { break }
                    after = page.upto
                }
                return told == Array("123456789")
            }
            try again.end()
        }

        @Test func positionsOfSeveralExchangesAreNotTakenForEachOther() throws {
            let setting = try WorkerSetting()
            let other = try WorkerSetting()
            for (exchange, text) in [(setting, "a=broken"), (other, "b=broken")] {
                var options = setting.options(attemptsMax: 1)
                options.exchange = exchange.exchange
                let worker = try setting.start(options)
                try exchange.publish(text)
                try eventually("it is parked") {
                    try worker.check()
                    return try setting.database.number(
                        "SELECT count(*) FROM ledger.worker_aside WHERE exchange = '\(exchange.exchange)'"
                    ) == 1
                }
                try worker.end()
            }
            let aside = try setting.asideEvents()
            #expect(throws: WorkerError.self) { try aside.drop(worker: "ledger", position: 1) }
            #expect(try setting.aside().count == 2)
            let last = [setting.exchange, other.exchange].max() ?? ""
            #expect(try aside.retry(position: 1, exchange: last) == 1)
            #expect(try aside.drop(worker: "ledger", position: 1, exchange: last))
            #expect(try aside.list().map(\.exchange) == [min(setting.exchange, other.exchange)])
        }

        @Test func anInstanceThatWasReplacedCountsNothing() throws {
            let setting = try WorkerSetting()
            var options = setting.options()
            options.limits.retry = BackOff(first: 60_000, most: 60_000)
            let worker = try setting.start(options)
            try setting.publish("a=broken")
            try eventually("it is set aside") { try setting.aside() == ["broken waiting 1"] }
            // As a newer one, or a rebuild, leaves it.
            try setting.database.query(
                """
                BEGIN; UPDATE ledger.worker SET epoch = 9;
                UPDATE ledger.worker_aside SET attempts = 0, due = now(); COMMIT
                """)
            #expect(try worker.reason().kind == .replaced)
            #expect(try setting.aside() == ["broken waiting 0"])
        }

        /// What the server remembers does not matter, also while the worker runs.
        @Test func aWorkerWhosePositionIsMovedGoesOnWhereItIs() throws {
            let setting = try WorkerSetting()
            let worker = try setting.start(setting.options())
            let client = try BlockingClient(setting.uri)
            for (number, start) in [(1, Start.first), (2, .next), (3, .position(1))] {
                try setting.publish("a=\(number)")
                try eventually("it is applied") {
                    try worker.check()
                    return try setting.applied().count == number
                }
                try client.seek("ledger", to: start, exchange: setting.exchange)
            }
            try setting.publish("a=4")
            try eventually("it goes on") {
                try worker.check()
                return try setting.applied() == ["1", "2", "3", "4"]
            }
            try worker.end()
        }

        @Test func toBeEndedInTheMiddleOfTroubleIsNoAttempt() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            for _ in 1...4 {
                let before = ledger.busyCount.current
                let worker = try setting.start(setting.options(attemptsMax: 2), ledger)
                if before == 0 { try setting.publish("a=busy") }
                try eventually("it was tried") {
                    try worker.check()
                    return ledger.busyCount.current > before
                }
                try worker.end()
                #expect(try setting.database.query("SELECT attempts FROM ledger.worker") == "0")
            }
            ledger.isMended.withLock { $0 = true }
            let worker = try setting.start(setting.options(attemptsMax: 2), ledger)
            try eventually("it is applied") {
                try worker.check()
                return try setting.applied() == ["busy"]
            }
            try worker.end()
        }

        /// Such as after a filter that leaves out what ended the process.
        @Test func attemptsAtWhatNobodyWantsAnyMoreDoNotCountForTheNext() throws {
            let setting = try WorkerSetting()
            let first = try setting.start(setting.options())
            try first.end()
            try setting.database.query("UPDATE ledger.worker SET attempts = 3")
            try setting.publish("a=deadly", "a=2")
            var options = setting.options()
            options.filter = Filter("b")
            options.limits.unmatchedMax = 1
            let second = try setting.start(options)
            try eventually("it has passed them") {
                try second.check()
                return try setting.position() == 2
            }
            try setting.publish("b=3")
            try eventually("the next one is applied") { try setting.position() == 3 }
            try second.end()
            #expect(try setting.applied() == ["3"] && setting.aside() == [])
        }
    }
}
