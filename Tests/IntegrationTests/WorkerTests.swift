import DormouseClient
import EventWorker
import Foundation
import Testing

extension Integration {
    /// `EventWorker` with the real server and a real database of the worker's own.
    @Suite(.serialized)
    struct WorkerTests {
        /// A worker starts, applies all that is left, and ends.
        private func expectApplied(_ expected: [String], _ setting: WorkerSetting) throws {
            let worker = try setting.start(setting.options())
            try eventually("all is applied") {
                try worker.check()
                return try setting.position() == expected.count
            }
            try worker.end()
            #expect(try setting.applied() == expected)
        }

        @Test func eventsAreAppliedOnceHoweverOftenTheWorkerStarts() throws {
            let setting = try WorkerSetting()
            var expected: [String] = []
            for round in 1...4 {
                let texts = (1...50).map { "a.\($0 % 7)=\(round).\($0)" }
                for text in texts { try setting.publish(text) }
                expected += texts.map { String($0.split(separator: "=")[1]) }
                try self.expectApplied(expected, setting)
            }
            // What the server remembers does not matter, and the name sleeps where the worker is.
            let log = try SharedServer.database()
            try eventually("the server knows it, too") {
                try log.query(
                    """
                    SELECT position FROM dormouse.subscriptions
                    WHERE exchange = '\(setting.exchange)' AND name = 'ledger'
                    """) == String(expected.count)
            }
        }

        @Test func theDatabaseSaysWhereToGoOnAndNotTheServer() throws {
            let setting = try WorkerSetting()
            let client = try BlockingClient(setting.uri, options: ["exchange": setting.exchange])
            var expected: [String] = []
            // The server's position too far, back at the beginning, and gone.
            for round in 1...4 {
                let texts = (1...5).map { "a=\(round).\($0)" }
                for text in texts { try setting.publish(text) }
                expected += texts.map { String($0.dropFirst(2)) }
                switch round {
                case 2: _ = try client.seek("ledger", to: .next, exchange: setting.exchange)
                case 3: _ = try client.seek("ledger", to: .first, exchange: setting.exchange)
                case 4: #expect(try client.forget("ledger", exchange: setting.exchange))
                default: break
                }
                try self.expectApplied(expected, setting)
            }
            #expect(
                try setting.database.query(
                    "SELECT name, exchange, length(incarnation), position, epoch FROM ledger.worker"
                )
                    == "ledger|\(setting.exchange)|16|20|4")
        }

        @Test func troubleThatPassesIsTriedAgainWithPausesAndCostsNoAttempt() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            var options = setting.options(attemptsMax: 2)
            options.limits.rest = BackOff(first: 20, most: 200)
            let worker = try setting.start(options, ledger)
            let begun = ContinuousClock.now
            try setting.publish("a=1", "b=busy", "a=2")
            try eventually("it was tried more often than it has attempts") {
                try worker.check()
                return ledger.busyCount.current >= 6
            }
            // Pauses of at least 10, 20, 40, 80 and 100 ms lie between six attempts.
            #expect(ContinuousClock.now - begun > .milliseconds(200))
            #expect(try setting.aside() == [])
            ledger.isMended.withLock { $0 = true }
            try eventually("all is applied, in order") {
                try worker.check()
                return try setting.applied() == ["1", "busy", "2"]
            }
            try worker.end()
        }

        @Test func whatFailsIsParkedWithItsKeyAndTheRestFlows() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            let worker = try setting.start(setting.options(), ledger)
            try setting.publish(
                "a=1", "b=broken", "b=2", "a=3", "c=refused", "d=hidden", "b=4", "a=5")
            try eventually("the rest flows, and the attempts are used up") {
                try worker.check()
                return try setting.aside() == [
                    "broken parked 3", "2 behind 0", "refused parked 3", "hidden parked 3",
                    "4 behind 0",
                ]
            }
            #expect(try setting.applied() == ["1", "3", "5"])
            #expect(try setting.position() == 8)
            let entries = try setting.asideEvents().list()
            #expect(entries[0].reason == "it is broken" && entries[0].event.key == "b")
            #expect(entries[2].reason.contains("division by zero"))
            #expect(entries[3].reason.contains("nothing was committed"))

            // Retried in vain, it is parked again. Mended, it goes, and what waited goes behind it.
            #expect(try setting.asideEvents().retry(worker: "ledger", position: 2) == 1)
            try eventually("it is parked again") {
                try setting.aside().first == "broken parked 3"
            }
            ledger.isMended.withLock { $0 = true }
            #expect(try setting.asideEvents().retry() == 3)
            try eventually("its key goes on") {
                try setting.applied() == ["1", "3", "5", "broken", "2", "4"]
            }
            try eventually("the others are parked again") {
                try setting.aside() == ["refused parked 3", "hidden parked 3"]
            }
            // Dropped, it is gone, and its key goes on.
            try setting.publish("c=6")
            try eventually("it waits behind") { try setting.aside().last == "6 behind 0" }
            #expect(try setting.asideEvents().drop(worker: "ledger", position: 5))
            #expect(try !setting.asideEvents().drop(worker: "ledger", position: 5))
            try eventually("its key goes on") { try setting.applied().last == "6" }
            try worker.end()
            #expect(try setting.aside() == ["hidden parked 3"])
        }

        @Test func anEventWaitsForItsCauseAndIsNotParked() throws {
            let setting = try WorkerSetting()
            let worker = try setting.start(setting.options(attemptsMax: 1))
            try setting.publish("a=after:1", "a=2", "b=3")
            try eventually("it has waited a while") {
                try worker.check()
                let waits = try setting.database.query("SELECT max(waits) FROM ledger.worker_aside")
                return Int(waits.split(separator: "\n").first ?? "") ?? 0 > 4
            }
            try eventually("what follows it in its key waits behind it") {
                try setting.aside() == ["after:1 waiting 0", "2 behind 0"]
            }
            try setting.publish("b=1")
            try eventually("it is applied, and what follows it") {
                try setting.applied() == ["3", "1", "after:1", "2"]
            }
            try worker.end()
            #expect(try setting.aside() == [])
        }

        @Test func aCauseOfTheSameKeyIsNotHeldByItsEffect() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            let worker = try setting.start(setting.options(), ledger)
            // The second one waits behind the first, and the third behind both, until that is mended.
            try setting.publish("a=broken", "a=passed:1", "a=1", "b=passed:2", "b=2")
            try eventually("one key goes on, the other waits") {
                try worker.check()
                let aside = try setting.aside()
                let applied = try setting.applied()
                return applied == ["2", "passed:2"]
                    && aside == ["broken parked 3", "passed:1 behind 0", "1 behind 0"]
            }
            ledger.isMended.withLock { $0 = true }
            #expect(try setting.asideEvents().retry() == 1)
            try eventually("the other one goes on, too") { try setting.aside() == [] }
            try worker.end()
            #expect(try setting.applied() == ["2", "passed:2", "broken", "1", "passed:1"])
        }

        @Test func theNewerInstanceWorksAndTheOlderOneEnds() throws {
            let setting = try WorkerSetting()
            try setting.publish("a=1")
            let older = try setting.start(setting.options())
            try eventually("the older one works") { try setting.position() == 1 }
            let newer = try setting.start(setting.options())
            #expect(try older.reason().kind == .replaced)
            try setting.publish("a=2")
            try eventually("the newer one works") {
                try newer.check()
                return try setting.position() == 2
            }
            try newer.end()
            #expect(try setting.applied() == ["1", "2"])
            // An epoch that changed without the server's knowing, as in another data centre.
            let third = try setting.start(setting.options())
            try eventually("the third works") {
                try setting.database.number("SELECT epoch FROM ledger.worker") == 3
            }
            try setting.database.query("UPDATE ledger.worker SET epoch = 9")
            try setting.publish("a=3")
            #expect(try third.reason().kind == .replaced)
            #expect(try setting.applied() == ["1", "2"])
        }

        @Test func aProcessThatEndsWithAnEventParksItInTheEnd() throws {
            let setting = try WorkerSetting()
            try setting.publish("a=1", "a=2")
            let first = try setting.start(setting.options())
            try eventually("both are applied") { try setting.position() == 2 }
            try first.end()
            // As a process leaves it that was killed, again and again, while it applied the next.
            try setting.database.query("UPDATE ledger.worker SET attempts = 3")
            try setting.publish("a=deadly", "a=3", "b=4")
            let second = try setting.start(setting.options())
            try eventually("the rest flows") { try setting.applied() == ["1", "2", "4"] }
            try second.end()
            #expect(try setting.aside() == ["deadly parked 3", "3 behind 0"])
            #expect(try setting.asideEvents().list()[0].reason.contains("ended 3 times"))
        }

        @Test func anotherLogIsNotFollowed() throws {
            let setting = try WorkerSetting()
            try setting.publish("a=1")
            let worker = try setting.start(setting.options())
            try eventually("it works") { try setting.position() == 1 }
            try worker.end()
            try setting.database.query(
                "UPDATE ledger.worker SET incarnation = decode('\(String(repeating: "ab", count: 16))', 'hex')"
            )
            let again = try setting.start(setting.options())
            let error = try again.reason()
            #expect(error.kind == .positionLost && error.message.contains("rebuild"))
        }

        @Test func whatATransactionPublishesIsPublishedOnceIfItCommits() throws {
            let setting = try WorkerSetting()
            let ledger = Ledger()
            var options = setting.options()
            options.filter = Filter("a.#")
            let worker = try setting.start(options, ledger)
            // In the middle one fails, so the others are applied again, one by one.
            try setting.publish("a.1=tell:one", "a.2=broken", "a.3=tell:two")
            let client = try BlockingClient(setting.uri, options: ["exchange": setting.exchange])
            let listener = try client.subscribe(
                SubscribeOptions(Filter("told"), from: .first, exchange: setting.exchange))
            var told: [String] = []
            func listen(until count: Int) throws {
                try eventually("\(count) were told") {
                    try worker.check()
                    try client.wait(milliseconds: 10)
                    while let texts = try listener.next({ batch in
                        (0..<batch.count).map { batch[$0].copy().text }
                    }) { told += texts }
                    return told.count >= count
                }
            }
            try listen(until: 2)
            try worker.end()
            // As if the process had ended between the publish and the note of it.
            try setting.database.query(
                """
                INSERT INTO ledger.worker_outgoing
                VALUES ('ledger', '\(setting.exchange)', 2, '', 'told', 'two', '', '', '')
                """)
            let again = try setting.start(options, ledger)
            try setting.publish("a.4=tell:three")
            try listen(until: 3)
            try again.end()
            #expect(told == ["one", "two", "three"])
            #expect(try setting.database.number("SELECT count(*) FROM ledger.worker_outgoing") == 0)
        }

        @Test func aWorkerMayBeginWhereverItIsTold() throws {
            let setting = try WorkerSetting()
            try setting.publish("a=1", "a=2", "a=3")
            let starts: [(String, Start, [String])] = [
                ("from_next", .next, ["4"]), ("from_last", .last, ["4", "4"]),
                ("from_second", .position(2), ["2", "3", "4", "4", "4"]),
                ("from_first", .first, ["1", "2", "3", "4", "4", "4", "4"]),
            ]
            for (name, start, expected) in starts {
                var options = setting.options(name)
                options.schema = name
                options.start = start
                let worker = try setting.start(options)
                try setting.publish("a=4")
                try eventually("it has \(expected)") {
                    try worker.check()
                    return try setting.applied(schema: name) == expected
                }
                try worker.end()
            }
        }
    }
}
