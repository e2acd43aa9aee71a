/// Numbers in Prometheus' text format, version 0.0.4. Source: "Exposition formats", Prometheus documentation.
package struct MetricsText {
    package enum Kind: String {
        /// Only grows, from 0 at the start.
        case counter
        case gauge
        case histogram
    }

    package typealias Labels = KeyValuePairs<String, String>
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    package private(set) var text = ""

    package init() {}

    /// A metric with one value.
    package mutating func add(
        _ name: String, _ kind: Kind, _ help: String, _ value: some MetricValue
    ) {
        self.begin(name, kind, help)
        self.sample(name, [:], value)
    }

    /// The samples of a metric that has several follow.
    package mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        self.text +=
            "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    package mutating func sample(_ name: String, _ labels: Labels, _ value: some MetricValue) {
        self.text += name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.key)=\"\(Self.escaped($0.value, quotes: true))\"" }
            self.text += "{\(pairs.joined(separator: ","))}"
        }
        self.text += " \(value.metricText)\n"
    }

    /// In seconds, as all times are here.
    package mutating func add(_ name: String, _ help: String, _ histogram: Histogram) {
        self.begin(name, .histogram, help)
        var sum: UInt64 = 0
        for (count, bound) in zip(histogram.counts, Histogram.bounds) {
            sum += count
            self.sample("\(name)_bucket", ["le": (Double(bound) / 1_000_000).metricText], sum)
        }
        sum += histogram.counts.last ?? 0
        self.sample("\(name)_bucket", ["le": "+Inf"], sum)
        self.sample("\(name)_sum", [:], Double(histogram.sum) / 1_000_000)
        self.sample("\(name)_count", [:], sum)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            case _: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}

/// How a number is written.
package protocol MetricValue {
    var metricText: String { get }
}

extension Int: MetricValue {
    package var metricText: String { "\(self)" }
}

extension UInt64: MetricValue {
    package var metricText: String { "\(self)" }
}

extension Double: MetricValue {
    package var metricText: String { "\(self)" }
}

extension Bool: MetricValue {
    package var metricText: String { self ? "1" : "0" }
}
