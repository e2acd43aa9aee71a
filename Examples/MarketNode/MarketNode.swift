import CLibMicrohttpd
import EventWorker
import Synchronization
import WorkerCommands

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A node for tests and for the demonstration: real HTTP, an invented chain, and the bad manners of public nodes.
@main
enum MarketNode {
    private static let help = """
        usage: market-node [--port N] [--tokens N] [--per-second N] [--busy N] [--slow N] [--broken N] [--strange N] [--pruned N] [--page N]

          --port N        0: any free one, which it prints (0)
          --tokens N      how long the chain is (20)
          --per-second N  events of each stream that come to light each second; 0: all at once (0)
          --busy N        every so many requests one is answered 429 (0: none)
          --slow N        every so many requests one is answered after 3 seconds (0: none)
          --broken N      every so many requests one is answered 503 (0: none)
          --strange N     every so many requests one is answered 200 with a page that is no JSON (0: none)
          --pruned N      events below this number are gone: 410 (0)
          --page N        a page has at most so many events, whatever is asked for (100)

        """

    static func main() {
        Program.run("market-node") {
            let names = [
                "port", "tokens", "per-second", "busy", "slow", "broken", "strange", "pruned",
                "page",
            ]
            let arguments = try Arguments(
                Array(CommandLine.arguments.dropFirst()), flags: Set(names.map { "--\($0)" }),
                switches: ["--help"])
            if arguments.has("--help") { return Program.say(Self.help) }
            func number(_ name: String, _ usual: Int) throws -> Int {
                try arguments.number("--\(name)", in: 0...1_000_000, default: usual)
            }
            let node = FixtureNode(
                chain: Chain(tokens: try number("tokens", 20)),
                manners: .init(
                    perSecond: try number("per-second", 0), busy: try number("busy", 0),
                    slow: try number("slow", 0), broken: try number("broken", 0),
                    strange: try number("strange", 0), pruned: try number("pruned", 0),
                    page: try number("page", 100)))
            let port = UInt16(clamping: try number("port", 0))
            let stop = try Program.stopSignal()
            try node.serve(port: port) { port in
                Program.say("listening on http://127.0.0.1:\(port)\naccount \(Chain.account)\n")
                _ = stop.wait(milliseconds: -1)
            }
        }
    }
}

/// Answers requests; each connection has a thread of its own.
final class FixtureNode: Sendable {
    private struct Answer {
        let status: UInt32
        let body: String
        var retryAfter: String?
    }

    /// Tests come with one connection; a browser with some.
    private static let connectionsMax: UInt32 = 64
    private static let silenceSecondsMax: UInt32 = 60
    private static let connectionBytesMax = 32 * 1024

    /// How it treats those who ask; the flags of the same names.
    struct Manners {
        let perSecond: Int
        let busy: Int
        let slow: Int
        let broken: Int
        let strange: Int
        let pruned: Int
        let page: Int
    }

    private let chain: Chain
    private let manners: Manners
    private let requests = Atomic(0)
    private let begun = ContinuousClock.now

    init(chain: Chain, manners: Manners) {
        self.chain = chain
        self.manners = manners
    }

    /// Serves until `body` returns.
    func serve(port: UInt16, _ body: (UInt16) -> Void) throws {
        let context = Unmanaged.passUnretained(self).toOpaque()
        let socket = try ListeningSocket(port: port)
        let daemon = dormouse_http_start(
            socket.descriptor,
            { context, connection, url, method, _, _, _, _ in
                // On the connection's thread; the node outlives the daemon.
                guard let context, let connection, let url, let method else {
                    return dormouse_http_hang_up()
                }
                let node = Unmanaged<FixtureNode>.fromOpaque(context).takeUnretainedValue()
                return node.answer(
                    connection, path: String(cString: url), method: String(cString: method))
            }, context, Self.connectionsMax, Self.silenceSecondsMax, Self.connectionBytesMax)
        guard let daemon else { throw UsageError("cannot serve port \(socket.port)") }
        body(socket.port)
        MHD_stop_daemon(daemon)
    }

    private func answer(_ connection: OpaquePointer, path: String, method: String) -> MHD_Result {
        func argument(_ name: String) -> Int? {
            dormouse_http_argument(connection, name).flatMap { Int(String(cString: $0)) }
        }
        let answer =
            method == "GET"
            ? self.answer(path, start: argument("start"), limit: argument("limit"))
            : Answer(status: 405, body: #"{"message":"GET only"}"#)
        let bytes = Array(answer.body.utf8)
        guard let response = dormouse_http_response(bytes, bytes.count) else {
            return dormouse_http_hang_up()
        }
        defer { MHD_destroy_response(response) }
        MHD_add_response_header(response, "Content-Type", "application/json")
        MHD_add_response_header(response, "X-Aptos-Chain-Id", "4")
        if let seconds = answer.retryAfter {
            MHD_add_response_header(response, "Retry-After", seconds)
        }
        return MHD_queue_response(connection, answer.status, response)
    }

    private func answer(_ path: String, start: Int?, limit: Int?) -> Answer {
        let number = self.requests.wrappingAdd(1, ordering: .relaxed).newValue
        func isTurn(_ every: Int) -> Bool { every > 0 && number % every == 0 }
        if isTurn(self.manners.busy) {
            return Answer(
                status: 429, body: #"{"message":"RequestLimitExceeded"}"#, retryAfter: "1")
        }
        if isTurn(self.manners.strange) {
            return Answer(status: 200, body: "<html>moment, please</html>")
        }
        if isTurn(self.manners.broken) { return Answer(status: 503, body: "down for a moment") }
        if isTurn(self.manners.slow) { sleep(3) }
        let parts = path.split(separator: "/").map(String.init)
        guard parts.count >= 5, parts[0] == "v1", parts[1] == "accounts" else {
            return Answer(status: 404, body: #"{"message":"no such path"}"#)
        }
        if parts[3] == "resource" { return self.resource(parts[4]) }
        guard parts[3] == "events", parts.count == 6, let stream = self.chain.streams[parts[5]],
            Chain.handles.contains(parts[4])
        else {
            return Answer(
                status: 404,
                body: #"{"message":"Struct Field not found","error_code":"struct_field_not_found"}"#
            )
        }
        return self.events(self.visible(stream), start: start, limit: limit ?? 25)
    }

    private func visible(_ stream: [String]) -> ArraySlice<String> {
        guard self.manners.perSecond > 0 else { return stream[...] }
        let seconds = (ContinuousClock.now - self.begun) / .milliseconds(1) / 1_000
        return stream.prefix(Int(seconds * Double(self.manners.perSecond)))
    }

    private func events(_ stream: ArraySlice<String>, start: Int?, limit: Int) -> Answer {
        guard (1...100).contains(limit) else {
            return Answer(status: 400, body: #"{"message":"limit must be from 1 to 100"}"#)
        }
        let pruned = min(self.manners.pruned, stream.count)
        let first = start ?? max(pruned, stream.count - limit)
        guard first >= pruned else {
            return Answer(
                status: 410, body: #"{"message":"pruned","error_code":"version_pruned"}"#)
        }
        let page = stream.dropFirst(first).prefix(min(limit, self.manners.page))
        return Answer(status: 200, body: "[" + page.joined(separator: ",") + "]")
    }

    private func resource(_ type: String) -> Answer {
        let fields = self.chain.streams.keys.sorted().map { field in
            "\"\(field)\":{\"counter\":\"\(self.visible(self.chain.streams[field] ?? []).count)\"}"
        }
        return Answer(
            status: 200,
            body: "{\"type\":\"\(type)\",\"data\":{\(fields.joined(separator: ","))}}")
    }
}
