import Core
import Foundation

/// Everything that was measured, in the order in which it came.
struct Figures {
    struct Figure: Codable {
        let measure: String
        let system: String
        let unit: String
        var values: [Double]

        var median: Double {
            let sorted = self.values.sorted()
            return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
        }
    }

    struct Scale {
        let what: String
        let size: Int
        var microseconds: [Double]
    }

    private(set) var all: [Figure] = []
    private var scales: [Scale] = []

    mutating func add(_ measure: String, _ system: String, _ value: Double, unit: String = "/s") {
        let place = self.all.firstIndex { $0.measure == measure && $0.system == system }
        if let place {
            self.all[place].values.append(value)
        } else {
            self.all.append(Figure(measure: measure, system: system, unit: unit, values: [value]))
        }
    }

    /// What an event costs with so many, or so large.
    mutating func add(size: Int, of what: String, microseconds: Double) {
        self.add("\(what): \(size)", "dormouse", microseconds, unit: "µs an event")
        if let place = self.scales.firstIndex(where: { $0.what == what && $0.size == size }) {
            self.scales[place].microseconds.append(microseconds)
        } else {
            self.scales.append(Scale(what: what, size: size, microseconds: [microseconds]))
        }
    }

    /// The cost at each size, and with which power of the size it grew since the size before.
    var exponents: [(scale: Scale, cost: Double, exponent: Double?)] {
        var before: (what: String, size: Int, cost: Double)?
        return self.scales.sorted { ($0.what, $0.size) < ($1.what, $1.size) }.map { scale in
            let cost = percentile(scale.microseconds, 0.5)
            var exponent: Double?
            if let before, before.what == scale.what {
                exponent = log(cost / before.cost) / log(Double(scale.size) / Double(before.size))
            }
            before = (what: scale.what, size: scale.size, cost: cost)
            return (scale: scale, cost: cost, exponent: exponent)
        }
    }

    func median(_ measure: String, _ system: String) -> Double? {
        self.all.first { $0.measure == measure && $0.system == system }?.median
    }
}

/// The value below which `share` of the values lie.
func percentile(_ values: [Double], _ share: Double) -> Double {
    let sorted = values.sorted()
    guard let last = sorted.last else { return 0 }
    let place = Int(Double(sorted.count) * share)
    return place < sorted.count ? sorted[place] : last
}

/// One row of the table: a figure of ours, what it is compared with, and what it should be.
struct Target {
    enum Goal {
        /// Ours is at least so many times the other's.
        case ratioAtLeast(Double)
        case ratioAtMost(Double)
        case atLeast(Double)
        case atMost(Double)
        /// A limit that is measured beside, not a target.
        case none
        /// Ours and the other's differ by at most this share.
        case within(Double)
    }

    let measure: String
    let what: String
    /// The measure and system that ours is compared with; nil: with the goal alone.
    let other: (measure: String, system: String)?
    let goal: Goal

    init(_ measure: String, _ what: String, _ other: (String, String)? = nil, _ goal: Goal) {
        self.measure = measure
        self.what = what
        self.other = other.map { (measure: $0.0, system: $0.1) }
        self.goal = goal
    }

    static func to(_ system: String, _ measure: String, _ what: String, _ ratio: Double) -> Target {
        Target(measure, what, (measure, system), .ratioAtLeast(ratio))
    }

    static func beside(_ system: String, _ other: String, _ measure: String, _ what: String)
        -> Target
    {
        Target(measure, what, (other, system), .none)
    }

    static let all: [Target] = [
        .to("libpq", "P1", "durable publish, batches of 100", 0.8),
        .beside("libpq behind a socket", "P1", "P1", "durable publish, batches of 100"),
        .to("RabbitMQ stream", "P1", "durable publish, batches of 100", 1.5),
        .to("JetStream", "P1", "durable publish, batches of 100", 3),
        .to("JetStream, fsync", "P1", "durable publish, batches of 100", 40),
        .to("JetStream", "P2", "durable publish, single events, window 1,000", 1),
        Target("P3 p50", "one publish at a time", nil, .atMost(0.35)),
        Target("P3 p99", "one publish at a time", nil, .atMost(2)),
        Target("P3 p50", "one publish at a time", ("P3 p50", "libpq"), .ratioAtMost(3)),
        Target("P4 p50", "publish to delivery at 20,000 events/s", nil, .atMost(1)),
        Target("P4 p99", "publish to delivery at 20,000 events/s", nil, .atMost(5)),
        Target("P5", "100 subscribers, deliveries", nil, .atLeast(5e6)),
        .to("NATS core", "P5", "100 subscribers, deliveries", 2),
        .to("JetStream", "P5", "100 subscribers, deliveries", 7),
        .to("RabbitMQ stream", "P6 warm", "replay, tail warm", 1),
        .to("libpq", "P6 cold", "replay, log cold", 0.5),
        .beside("libpq behind a socket", "P6 cold", "P6 cold", "replay, log cold"),
        Target("P6 cold", "replay, log cold", ("P6 warm", "JetStream"), .ratioAtLeast(4)),
        Target("P7", "filtered replay, 1 % match", ("P6 warm", "dormouse"), .ratioAtLeast(0.8)),
        .to("JetStream", "P7", "filtered replay, 1 % match", 10),
        Target("P8 start", "start with many sleeping subscribers", nil, .atMost(1)),
        Target("P8 memory", "memory of a sleeping subscriber", nil, .atMost(1)),
        Target("P9 memory", "memory of an idle connection", nil, .atMost(24)),
        Target(
            "P9 publish", "publish beside idle connections", ("P9 alone", "dormouse"),
            .ratioAtLeast(0.9)),
        Target("P10", "processor of Postgres for acknowledgements", nil, .atMost(5)),
        Target(
            "P11 receivers", "publish, many receivers that do not match", ("P11 one", "dormouse"),
            .within(0.1)),
        Target("P11 large", "publish into a large log", ("P11 small", "dormouse"), .within(0.1)),
        Target("P12", "outbox, written and moved", nil, .atLeast(50_000)),
        .beside("libpq", "P12", "P12", "outbox, written and moved"),
        Target("P12 backlog", "outbox, moved only", nil, .atLeast(50_000)),
        Target("P12 p50", "outbox, from COMMIT to delivery", nil, .atMost(20)),
    ]
}

/// A target with what was measured.
struct Verdict: Codable {
    let measure: String
    let what: String
    let ours: Double
    let unit: String
    let otherName: String?
    let other: Double?
    let ratio: Double?
    let target: String
    let isMet: Bool

    /// Nil when one of the figures was not measured.
    init?(_ target: Target, _ figures: Figures) {
        guard
            let ours = figures.all.first(where: {
                $0.measure == target.measure && $0.system == "dormouse"
            })
        else { return nil }
        let other = target.other.map { figures.median($0.measure, $0.system) }
        if case .some(.none) = other { return nil }
        let value = other.flatMap { $0 }
        self.measure = target.measure
        self.what = target.what
        self.ours = ours.median
        self.unit = ours.unit
        self.otherName = target.other.map {
            $0.system == "dormouse" ? "\($0.measure)" : $0.system
        }
        self.other = value
        let ratio = value.map { ours.median / max($0, 1e-9) }
        self.ratio = ratio
        switch target.goal {
        case .ratioAtLeast(let least):
            self.target = "≥ \(shortNumber(least)) ×"
            self.isMet = ratio ?? 0 >= least
        case .ratioAtMost(let most):
            self.target = "≤ \(shortNumber(most)) ×"
            self.isMet = ratio ?? .infinity <= most
        case .atLeast(let least):
            self.target = "≥ \(shortNumber(least)) \(ours.unit)"
            self.isMet = ours.median >= least
        case .atMost(let most):
            self.target = "≤ \(shortNumber(most)) \(ours.unit)"
            self.isMet = ours.median <= most
        case .none:
            self.target = ""
            self.isMet = true
        case .within(let share):
            self.target = "1 × ± \(shortNumber(share * 100)) %"
            self.isMet = abs((ratio ?? 0) - 1) <= share
        }
    }
}

/// Three digits that matter: 1.23 M, 45.6 k, 0.078.
func shortNumber(_ value: Double) -> String {
    if value >= 1e6 { return digits(value / 1e6) + " M" }
    if value >= 10_000 { return digits(value / 1e3) + " k" }
    return digits(value)
}

private func digits(_ value: Double) -> String {
    let places = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let rounded = (value * scale).rounded() / scale
    var text = places == 0 ? "\(Int(rounded))" : "\(rounded)"
    if text.hasSuffix(".0") { text.removeLast(2) }
    return text
}
