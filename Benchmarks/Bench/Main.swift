import Core

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

// Publishes and replays over a real socket, beside plain libpq on the same Postgres in the same
// run. Each figure is the median of several rounds that alternate; what counts are the ratios.

@main
struct Main {
    static func main() {
        do throws(Failure) {
            try Self.run(try Settings(arguments: Array(CommandLine.arguments.dropFirst())))
        } catch {
            print("dormouse-bench: \(error.description)")
            exit(1)
        }
    }

    private static func run(_ settings: Settings) throws(Failure) {
        print(
            "\(settings.payloadBytes)-byte payloads, \(settings.batch) events a request, window "
                + "\(settings.window) events, \(settings.events) events a round, \(settings.rounds) rounds"
        )
        let ceiling = try Ceiling(conninfo: settings.postgres)
        print("Postgres \(ceiling.version), \(ceiling.durability)")
        var figures = Figures()
        if settings.onlyReplay {
            figures.add("libpq, write", try ceiling.write(settings))
            for _ in 0..<settings.rounds {
                figures.add("libpq, read of such rows", try ceiling.read())
                figures.add("replay", try Replayer(settings).run())
            }
            figures.printMedians()
            return figures.printRatio("replay", of: "libpq, read of such rows")
        }
        for _ in 0..<settings.rounds {
            figures.add("libpq, a row per 140 kB chunk", try ceiling.write(settings))
            figures.add("publish", try Publisher(settings).run())
            figures.add("libpq, read of such rows", try ceiling.read())
            figures.add("replay", try Replayer(settings).run())
        }
        figures.printMedians()
        figures.printRatio("publish", of: "libpq, a row per 140 kB chunk")
        figures.printRatio("replay", of: "libpq, read of such rows")
    }
}

/// What to measure, and against what.
struct Settings {
    var host = "127.0.0.1"
    var port: UInt16 = 3673
    var postgres = ""
    var events = 1_000_000
    var batch = 100
    var window = 20_000
    var payloadBytes = 100
    var rounds = 5
    var onlyReplay = false

    init(arguments: [String]) throws(Failure) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else {
                throw Failure(.invalidArgument, "\(name) needs a value")
            }
            if name == "--postgres" {
                self.postgres = value
                continue
            }
            if name == "--only" {
                self.onlyReplay = value == "replay"
                continue
            }
            guard let number = Int(value), number > 0 else {
                throw Failure(
                    .invalidArgument, "\(name) is '\(value)'; expected a number from 1 on")
            }
            switch name {
            case "--port": self.port = UInt16(clamping: number)
            case "--events": self.events = number
            case "--batch": self.batch = number
            case "--window": self.window = number
            case "--payload": self.payloadBytes = number
            case "--rounds": self.rounds = number
            default:
                throw Failure(
                    .invalidArgument,
                    "unknown argument \(name); expected --postgres CONNINFO, --port, --events, --batch, --window, "
                        + "--payload or --rounds")
            }
        }
    }
}

/// Events per second of each thing that is measured, in the order in which they came.
struct Figures {
    private var names: [String] = []
    private var values: [String: [Double]] = [:]

    mutating func add(_ name: String, _ value: Double) {
        if self.values[name] == nil { self.names.append(name) }
        self.values[name, default: []].append(value)
    }

    func median(_ name: String) -> Double {
        let sorted = (self.values[name] ?? []).sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }

    func printMedians() {
        for name in self.names {
            let sorted = (self.values[name] ?? []).sorted()
            print(
                Self.padded(name, to: 34), Self.thousands(self.median(name)), "events/s   (",
                Self.thousands(sorted.first ?? 0), "…", Self.thousands(sorted.last ?? 0), ")")
        }
    }

    func printRatio(_ name: String, of other: String) {
        let ratio = self.median(name) / max(1, self.median(other))
        print("\(name) ÷ \(other): \(Double(Int(ratio * 100)) / 100)")
    }

    private static func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private static func thousands(_ value: Double) -> String {
        var digits = String(Int(value))
        var parts: [String] = []
        while digits.count > 3 {
            parts.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return ([digits] + parts).joined(separator: ",")
    }
}

/// Monotonic seconds.
func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
