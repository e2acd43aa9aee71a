import DormouseClient
import EventWorker

/// Counts how often each page was visited, in a table of its own.
struct Visits: Observer {
    func prepare(_ database: Database) throws {
        try database.executeAll(
            "CREATE TABLE IF NOT EXISTS visit (page text PRIMARY KEY, count bigint NOT NULL)")
    }

    func apply(_ events: [Event], in transaction: Transaction) throws {
        for event in events {
            try transaction.execute(
                """
                INSERT INTO visit VALUES ($1, 1)
                ON CONFLICT (page) DO UPDATE SET count = visit.count + 1
                """, [.text(event.text)])
        }
    }
}

let words = CommandLine.arguments
if words.count == 3 {
    var options = WorkerOptions(
        name: "visits", filter: Filter("visit.#"), server: words[1], database: words[2],
        schema: "visits")
    options.log = { print($0) }
    try Worker(options, Visits(), until: StopSignal()).run()
} else {
    print(
        "usage: visits SERVER DATABASE; dormouse://127.0.0.1:3673 dbname=statistics, for instance")
}
