import Core
import DormouseClient

/// `dormouse admin verify`.
enum VerifyCommand {
    static let description = CommandDescription(
        name: "admin verify",
        summary: "read the whole log again: is it dense, in order, and as long as it says?",
        usage: ["admin verify [--exchange NAME]"], operands: 0...0,
        options: [
            CommandOption("exchange", "NAME", of: .exchange, "only this one; default all"), .json,
            .noProgress,
        ],
        examples: ["dormouse admin verify", "dormouse admin verify --exchange orders --json"],
        notes: """
            The server reads every event anew from Postgres, also what it has in memory, and sends it to
            this program, which checks that positions grow by one from the first to the newest and that
            there are as many as the exchange says. Ends with 65 when that is not so. Times that go back,
            as after a change of the server's clock, are counted and no failure.
            """,
        run: { invocation throws(CommandFailure) in
            let connection = try Connection(invocation)
            let output = Output()
            var isGood = true
            for exchange in try connection.exchanges() {
                let verification = try Self.verify(connection, exchange, invocation)
                isGood = isGood && verification.problem == nil
                try output.write(
                    invocation.has("json") ? verification.json : verification.line)
                try output.flush()
            }
            return isGood ? .success : .data
        })

    private static func verify(
        _ connection: Connection, _ exchange: String, _ invocation: Invocation
    ) throws(CommandFailure) -> Verification {
        let doing = "cannot verify '\(exchange)'"
        let info = try LogReading(connection, exchange: exchange, doing: doing).description()
        var verification = Verification(exchange: exchange, first: info.first, head: info.head)
        var progress = Progress(
            invocation, "verifying \(exchange)",
            of: info.head >= info.first ? info.head - info.first + 1 : nil)
        var after = info.first - 1
        while after < info.head, verification.problem == nil {
            do throws(CommandFailure) {
                let upto = try asking { () throws(DormouseError) in
                    try connection.client.fetchStored(after: after, exchange: exchange) { event in
                        if event.position <= info.head {
                            verification.take(event.position, event.publishedAt)
                        }
                    }
                }
                // A server that does not get on must not keep us here.
                if upto <= after { break }
                after = upto
            } catch {
                // What the server cannot read, and what the library refuses: positions that do not grow.
                guard error.code == .internal else {
                    var failure = error
                    failure.message = "\(doing): \(error.message)"
                    throw failure
                }
                verification.fail(error.message)
            }
            progress.update(verification.count, events: verification.count)
        }
        verification.end()
        progress.end()
        return verification
    }
}

/// What reading one log again has shown.
struct Verification {
    let exchange: String
    let first: UInt64
    let head: UInt64
    private(set) var count: UInt64 = 0
    private(set) var problem: String?
    private var time: UInt64 = 0
    /// Events that are older than the one before them.
    private var stepsBack: UInt64 = 0

    init(exchange: String, first: UInt64, head: UInt64) {
        self.exchange = exchange
        self.first = first
        self.head = head
    }

    mutating func take(_ position: UInt64, _ publishedAt: UInt64) {
        let expected = self.first + self.count
        if position != expected { self.fail("position \(position) comes instead of \(expected)") }
        if publishedAt < self.time { self.stepsBack += 1 }
        self.time = publishedAt
        self.count += 1
    }

    mutating func end() {
        let expected = self.head + 1 - self.first
        if self.count != expected {
            self.fail("there are \(self.count) events instead of \(expected)")
        }
    }

    /// The first problem is told.
    mutating func fail(_ problem: String) {
        self.problem = self.problem ?? problem
    }

    var line: String {
        if let problem {
            return
                "\(self.exchange): NOT in order: \(problem). Before it: "
                + Text.count(self.count, "event")
        }
        guard self.count > 0 else { return "\(self.exchange): empty" }
        let back =
            self.stepsBack > 0
            ? "; \(Text.count(self.stepsBack, "time")) the clock went back" : ""
        return "\(self.exchange): \(Text.count(self.count, "event")), positions \(self.first) to "
            + "\(self.head), dense and in order\(back)"
    }

    var json: String {
        "{\"exchange\":\(JSONText.quoted(self.exchange)),\"first\":\(self.first),"
            + "\"head\":\(self.head),\"events\":\(self.count),\"clock_back\":\(self.stepsBack),"
            + "\"problem\":\(self.problem.map { JSONText.quoted($0) } ?? "null")}"
    }
}
