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
            Every event that is stored now is sent to this program, which checks that positions grow by
            one from the first to the newest and that there are as many as the exchange says. Ends with
            65 when that is not so. Times that go back, as after a change of the server's clock, are
            counted and no failure.
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
        let reading = LogReading(
            connection, exchange: exchange, doing: "cannot verify '\(exchange)'")
        let info = try reading.description()
        var verification = Verification(exchange: exchange, first: info.first, head: info.head)
        var progress = Progress(
            invocation, "verifying \(exchange)",
            of: info.head >= info.first ? info.head - info.first + 1 : nil)
        do throws(CommandFailure) {
            try reading.forEach(after: info.first - 1, last: info.head) { batch, count, _ in
                for index in 0..<count {
                    let event = batch[index]
                    verification.take(event.position, event.publishedAt)
                }
                progress.update(verification.count, events: verification.count)
                return verification.problem == nil
            }
            verification.end()
        } catch {
            // What the library itself refuses: deliveries that do not join, positions that do not
            // grow.
            guard error.code == .internal else { throw error }
            verification.fail(error.message)
        }
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
                "\(self.exchange): NOT in order: \(problem); of \(Text.count(self.count, "event"))"
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
