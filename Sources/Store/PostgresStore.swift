import Channels
package import Core

/// Everything that the server keeps in Postgres.
package final class PostgresStore: Sendable {
    package let log: PostgresLog
    package let state: PostgresState
    package let outbox: PostgresOutbox
    private let report: @Sendable (String) -> Void
    private let retryMilliseconds: ClosedRange<Int>

    /// Connects to nothing yet. `report` gets a line for people now and then.
    package init(
        _ settings: ConnectionSettings, limits: Limits,
        report: @escaping @Sendable (String) -> Void
    ) {
        self.log = PostgresLog(
            settings, readers: limits.replayReaders, appendsInFlightMax: limits.appendsInFlightMax)
        self.state = PostgresState(settings)
        self.outbox = PostgresOutbox(settings)
        self.report = report
        let shortest = max(1, limits.retryMillisecondsMin)
        self.retryMilliseconds = shortest...max(shortest, limits.retryMillisecondsMax)
    }

    /// Connects and migrates; while the database is away, again and again with growing pauses, until
    /// the task is cancelled (`cancelled`). What waiting does not cure is thrown at once: wrong
    /// settings, a newer schema, a refused statement.
    package func start(clock: any Clock<Duration> = ContinuousClock()) async throws(Failure) {
        var pause = self.retryMilliseconds.lowerBound
        while true {
            let failure: Failure
            do throws(Failure) {
                return try await self.state.migrate()
            } catch {
                guard error.code == .unavailable else { throw error }
                failure = error
            }
            self.report("the database is not there yet, trying again: \(failure)")
            // Jittered, so that several servers do not come at once.
            let jittered = Int.random(in: pause / 2...pause)
            do {
                try await clock.sleep(for: .milliseconds(jittered))
            } catch {
                throw Failure(.cancelled, "cancelled while the database was away")
            }
            pause = min(2 * pause, self.retryMilliseconds.upperBound)
        }
    }

    /// Finishes what was asked for, and ends all threads and connections.
    package func close() async {
        await self.log.close()
        await self.state.close()
        await self.outbox.close()
    }
}
