import Core
import DormouseClient

/// `dormouse bench`: how fast this server is from here.
enum BenchCommand {
    private static let exchangeDefault = "bench"
    private static let key = Array("bench".utf8)
    /// Events published one at a time, for the latencies.
    private static let singles = 200

    static let description = CommandDescription(
        name: "bench", summary: "measure how fast the server publishes and delivers, from here",
        usage: ["bench [OPTION...]"], operands: 0...0,
        options: [
            CommandOption("events", "N", "how many are published; default 100000"),
            CommandOption("size", "BYTES", "of each payload; default 100"),
            CommandOption(
                "exchange", "NAME", of: .exchange, "default \(Self.exchangeDefault), which is made"),
            .json, .yes, .noProgress,
        ],
        examples: [
            "dormouse bench --yes", "dormouse bench --events 1000000 --size 1000 --yes --json",
        ],
        notes: """
            The events stay in the log of the exchange, so it asks first. COMMIT is from a publish of
            one event to its answer, ARRIVAL from there to a live subscription on another connection.
            'make bench' compares with other systems.
            """,
        run: Self.run)

    private static func run(_ invocation: Invocation) throws(CommandFailure) -> ExitCode {
        let count = try invocation.number("events", in: 1...1_000_000_000) ?? 100_000
        let size = try invocation.number("size", in: 0...(8 << 20)) ?? 100
        let connection = try Connection(
            invocation, options: Publisher.options, exchangeDefault: Self.exchangeDefault)
        let exchange = connection.exchange ?? Self.exchangeDefault
        try Confirmation.ask(
            invocation,
            "this publishes \(Text.count(count, "event")) of \(Text.count(size, "byte")) into the "
                + "exchange '\(exchange)', where they stay")
        try Self.make(exchange, connection, isDefault: exchange == Self.exchangeDefault)
        let reading = LogReading(connection, exchange: exchange, doing: "cannot read")
        let before = try reading.description().head
        var result = BenchResult(events: count, size: size)
        let event = Core.Event(
            key: Self.key, payload: [UInt8](repeating: UInt8(ascii: "x"), count: Int(size)))
        result.publishSeconds = try Self.timed { () throws(CommandFailure) in
            try Self.publish(event, count, connection, invocation)
        }
        result.readSeconds = try Self.timed { () throws(CommandFailure) in
            try Self.read(reading, after: before, last: before + count, invocation)
        }
        try Self.measure(&result, event, connection, try Connection(invocation), exchange)
        let output = Output()
        for line in invocation.has("json") ? [result.json] : result.lines {
            try output.write(line)
        }
        try output.flush()
        return .success
    }

    private static func make(
        _ exchange: String, _ connection: Connection, isDefault: Bool
    ) throws(CommandFailure) {
        guard isDefault else { return }
        do throws(CommandFailure) {
            try connection.ask("cannot make the exchange") { client throws(DormouseError) in
                try client.createExchange(exchange)
            }
        } catch {
            if error.code != .alreadyExists { throw error }
        }
    }

    private static func timed(
        _ body: () throws(CommandFailure) -> Void
    ) throws(CommandFailure) -> Double {
        let start = ContinuousClock.now
        try body()
        return (ContinuousClock.now - start) / .seconds(1)
    }

    private static func publish(
        _ event: Core.Event, _ count: UInt64, _ connection: Connection, _ invocation: Invocation
    ) throws(CommandFailure) {
        var publisher = Publisher(client: connection.client)
        var progress = Progress(invocation, "publishing", of: count)
        let bytes = try attempt("cannot publish") { () throws(Failure) in
            try publisher.check(event)
        }
        for number in 1...count {
            try publisher.add(event, bytes: bytes, line: number)
            if number % 1000 == 0 {
                progress.update(publisher.outcome.answered, events: publisher.outcome.answered)
            }
        }
        try publisher.finish()
        progress.end()
    }

    private static func read(
        _ reading: LogReading, after: UInt64, last: UInt64, _ invocation: Invocation
    ) throws(CommandFailure) {
        var progress = Progress(invocation, "reading", of: last - after)
        try reading.forEach(after: after, last: last) { _, _, position in
            progress.update(position - after, events: position - after)
            return true
        }
        progress.end()
    }

    /// One event at a time, with a live subscription elsewhere.
    private static func measure(
        _ result: inout BenchResult, _ event: Core.Event, _ publisher: Connection,
        _ consumer: Connection, _ exchange: String
    ) throws(CommandFailure) {
        var options = SubscribeOptions(exchange: exchange)
        options.acknowledgeOnSend = true
        let subscription = try consumer.ask("cannot subscribe") { client throws(DormouseError) in
            try client.subscribe(options)
        }
        for _ in 0..<Self.singles {
            let start = ContinuousClock.now
            var single = Publisher(client: publisher.client)
            let bytes = try attempt("cannot publish") { () throws(Failure) in
                try single.check(event)
            }
            try single.add(event, bytes: bytes, line: 1)
            try single.finish()
            let answered = ContinuousClock.now
            try asking("cannot read") { () throws(DormouseError) in
                while try subscription.next({ $0.count }) == nil { try consumer.client.wait() }
            }
            result.commit.append((answered - start) / .milliseconds(1))
            result.arrival.append((ContinuousClock.now - answered) / .milliseconds(1))
        }
    }
}

/// What was measured.
struct BenchResult {
    let events: UInt64
    let size: UInt64
    var publishSeconds = 0.0
    var readSeconds = 0.0
    /// Milliseconds.
    var commit: [Double] = []
    var arrival: [Double] = []

    var lines: [String] {
        func speed(_ seconds: Double) -> String {
            "\(Text.grouped(Self.rate(self.events, seconds))) events/s, "
                + "\(Text.size(Self.rate(self.events * self.size, seconds)))/s"
        }
        func times(_ times: [Double]) -> String {
            "half within \(Self.text(Self.quantile(times, 0.5))) ms, 99 % within "
                + "\(Self.text(Self.quantile(times, 0.99))) ms"
        }
        return [
            "published  \(speed(self.publishSeconds))",
            "delivered  \(speed(self.readSeconds))",
            "commit     \(times(self.commit))",
            "arrival    \(times(self.arrival))",
        ]
    }

    var json: String {
        func times(_ times: [Double]) -> String {
            "{\"p50_ms\":\(Self.text(Self.quantile(times, 0.5))),"
                + "\"p99_ms\":\(Self.text(Self.quantile(times, 0.99)))}"
        }
        return "{\"events\":\(self.events),\"size\":\(self.size),"
            + "\"published_per_second\":\(Self.rate(self.events, self.publishSeconds)),"
            + "\"delivered_per_second\":\(Self.rate(self.events, self.readSeconds)),"
            + "\"commit\":\(times(self.commit)),\"arrival\":\(times(self.arrival))}"
    }

    static func rate(_ count: UInt64, _ seconds: Double) -> UInt64 {
        seconds > 0 ? UInt64(Double(count) / seconds) : 0
    }

    /// The nearest-rank quantile; 0 of nothing.
    static func quantile(_ values: [Double], _ share: Double) -> Double {
        guard !values.isEmpty else { return 0 }
        let rank = Int((share * Double(values.count)).rounded(.up))
        return values.sorted()[min(values.count, max(1, rank)) - 1]
    }

    /// With two digits.
    static func text(_ value: Double) -> String {
        let hundredths = UInt64((max(0, value) * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
