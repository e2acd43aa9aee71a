import Core
import Foundation

// Measures dormoused beside other systems and beside plain libpq, all over real sockets, in one run and in turns.
// What counts are the ratios. See docs/performance.md.

@main
struct Main {
    static func main() {
        do throws(Failure) {
            let arguments = Array(CommandLine.arguments.dropFirst())
            if arguments.first == "relay" { return try Relay.main(Array(arguments.dropFirst())) }
            let options = try Options(arguments)
            var run = Run(options)
            defer { run.end() }
            var failure: Failure?
            do throws(Failure) {
                try run.all()
            } catch {
                failure = error
            }
            // Also when something went wrong: what was measured until then counts.
            try Report(run).write()
            if let failure { throw failure }
        } catch {
            say("dormouse-bench: \(error.description)")
            exit(1)
        }
    }
}

/// What to measure, and where the programs are.
struct Options {
    /// Programs; empty: not here.
    var server = ""
    var nats = ""
    var redis = ""
    var rabbitmq = ""
    var pgq = ""
    /// A folder for all that the run writes, and one for its results.
    var folder = ""
    var results = ""
    var only: [String] = []
    var quick = false
    var rounds = 5
    /// Events of one round of P1; everything else follows from it.
    var events = 1_000_000
    /// Events in the large log of P11.
    var large = 10_000_000
    /// The first of a hundred; below those that the kernel gives to clients, or one of ours could hold it.
    var port: UInt16 = 27_300

    init(_ arguments: [String]) throws(Failure) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            if name == "--quick" {
                self.quick = true
                self.events = 100_000
                self.large = 1_000_000
                continue
            }
            guard let value = rest.popFirst() else {
                throw Failure(.invalidArgument, "\(name) needs a value")
            }
            switch name {
            case "--server": self.server = value
            case "--nats": self.nats = value
            case "--redis": self.redis = value
            case "--rabbitmq": self.rabbitmq = value
            case "--pgq": self.pgq = value
            case "--folder": self.folder = value
            case "--results": self.results = value
            case "--only": self.only = value.split(separator: ",").map(String.init)
            case "--rounds": self.rounds = try Self.number(name, value)
            case "--events": self.events = try Self.number(name, value)
            case "--large": self.large = try Self.number(name, value)
            case "--port": self.port = UInt16(clamping: try Self.number(name, value))
            default:
                throw Failure(
                    .invalidArgument,
                    "unknown argument \(name); expected --only P1,P2…, --rounds, --events, --large or --port"
                )
            }
        }
    }

    /// Whether this measure is wanted.
    func wants(_ measure: String) -> Bool { self.only.isEmpty || self.only.contains(measure) }

    private static func number(_ name: String, _ value: String) throws(Failure) -> Int {
        guard let number = Int(value), number > 0 else {
            throw Failure(.invalidArgument, "\(name) is '\(value)'; expected a number from 1 on")
        }
        return number
    }
}

/// Prints a line at once, also into a pipe.
func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

/// Writes a file.
func write(_ path: String, _ text: String) throws(Failure) {
    do {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    } catch {
        throw Failure(.internal, "cannot write \(path)", underlying: "\(error)")
    }
}
