import Core
import DormouseClient

/// A connection for one command, and the exchange that it is about.
struct Connection {
    let client: BlockingClient
    /// nil: neither the command nor the address names one.
    let exchange: String?
    let timeoutMilliseconds: Int32

    private static let timeoutDefault: UInt64 = 15_000
    /// How long one of several addresses may take, at most.
    private static let addressMillisecondsMax: Int32 = 10_000

    /// `options` are those of the library, by their names in the address. Without more of them, a lost
    /// connection is the end: most commands are one question.
    init(
        _ invocation: Invocation, options: [String: String] = [:], reconnects: Bool = false,
        timeoutMillisecondsMax: Int32 = .max, exchangeDefault: String? = nil
    ) throws(CommandFailure) {
        let timeout = try invocation.duration("timeout") ?? Self.timeoutDefault
        self.timeoutMilliseconds = min(Int32(clamping: timeout), timeoutMillisecondsMax)
        let address = try ServerAddress(invocation)
        let exchange = try attempt { () throws(Failure) -> String? in
            try invocation.value("exchange").map { name throws(Failure) in
                try Name(name, what: "exchange").text
            }
        }
        self.exchange = exchange ?? address.exchange ?? exchangeDefault
        var options = options
        options["exchange"] = exchange ?? (address.exchange == nil ? exchangeDefault : nil)
        do throws(DormouseError) {
            self.client = try BlockingClient(
                address.uri,
                defaults: [
                    "client": "dormouse \(invocation.command)",
                    "reconnect": reconnects ? "yes" : "no",
                    "connect_timeout_ms": String(
                        max(1, min(self.timeoutMilliseconds, Self.addressMillisecondsMax))),
                ], options: options, timeout: self.timeoutMilliseconds)
        } catch {
            throw Self.failure(error, address)
        }
    }

    private static func failure(_ error: DormouseError, _ address: ServerAddress) -> CommandFailure
    {
        guard error.status != .badArgument else {
            return CommandFailure(error, doing: "the address '\(address.withoutToken)' is not one")
        }
        var failure = CommandFailure(error, doing: "cannot connect")
        if error.status == .cannotConnect {
            failure.advise("start dormoused, or say where it is with --server or --context")
        }
        return failure
    }
}

extension Connection {
    /// Calls `body`; a failure becomes the command's, with the nearest name that there is when what
    /// it was about is not there. `name` is a subscription's.
    @discardableResult
    func ask<Value>(
        _ doing: String, name: String? = nil,
        _ body: (BlockingClient) throws(DormouseError) -> Value
    ) throws(CommandFailure) -> Value {
        do throws(CommandFailure) {
            return try asking(doing) { () throws(DormouseError) in try body(self.client) }
        } catch {
            throw self.advised(error, name: name)
        }
    }

    func advised(_ failure: CommandFailure, name: String? = nil) -> CommandFailure {
        guard failure.code == .notFound, let nearest = self.nearest(to: name) else {
            return failure
        }
        var failure = failure
        failure.message += "; did you mean '\(nearest)'?"
        failure.advice = ""
        return failure
    }

    private func nearest(to name: String?) -> String? {
        do throws(DormouseError) {
            let exchange = self.exchange ?? "main"
            let exchanges = try self.client.exchanges().map(\.name)
            guard exchanges.contains(exchange) else {
                return Text.nearest(to: exchange, in: exchanges)
            }
            guard let name else { return nil }
            let names = try self.client.subscribers(exchange: exchange).map(\.name)
            return names.contains(name) ? nil : Text.nearest(to: name, in: names)
        } catch {
            // Advice is worth no second failure.
            return nil
        }
    }

    /// The one that was named, or all.
    func exchanges() throws(CommandFailure) -> [String] {
        if let exchange = self.exchange { return [exchange] }
        return try self.ask("cannot list exchanges") { client throws(DormouseError) in
            try client.exchanges().map(\.name)
        }
    }
}

/// What `--server` and DORMOUSE_URL say.
struct ServerAddress: Hashable {
    static let standard = "dormouse://127.0.0.1:3673"

    let text: String

    init(_ text: String) {
        self.text = text
    }

    /// What was said last and closest wins: options, the environment, what is selected.
    init(_ invocation: Invocation) throws(CommandFailure) {
        if let text = invocation.value("server") {
            guard !invocation.has("context") else {
                throw .usage("give --server or --context, not both")
            }
            self.init(text)
        } else if let name = invocation.value("context") {
            self.init(try ContextFile.read().find(name))
        } else if let text = OS.environment("DORMOUSE_URL") {
            self.init(text)
        } else if let name = OS.environment("DORMOUSE_CONTEXT") {
            self.init(try ContextFile.read().find(name))
        } else {
            let contexts = try ContextFile.read()
            self.init(contexts.selected.flatMap { contexts[$0] } ?? Self.standard)
        }
    }

    /// Options whose values are nobody's secret; of others, which may be `token` written wrongly, they are not shown.
    private static let shown: Set = [
        "token_file", "ca_file", "cert_file", "key_file", "tls", "tls_name", "reconnect",
        "exchange", "compression",
    ]

    /// For people to see.
    var withoutToken: String {
        let parts = self.text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var place = parts[0]
        if let at = place.lastIndex(of: "@") {
            let start = place.firstRange(of: "://")?.upperBound ?? place.startIndex
            place.replaceSubrange(min(start, at)..<at, with: "…")
        }
        guard parts.count == 2 else { return String(place) }
        let options = parts[1].split(separator: "&", omittingEmptySubsequences: false).map {
            option -> String in
            let halves = option.split(separator: "=", maxSplits: 1)
            guard let name = halves.first, !Self.shown.contains(String(name)) else {
                return String(option)
            }
            // One without a value may be the value of one before it.
            return halves.count == 2 ? "\(name)=…" : "…"
        }
        return "\(place)?\(options.joined(separator: "&"))"
    }

    /// For the library; `HOST:PORT` alone is short for it.
    var uri: String {
        self.text.contains("://") || self.text.hasPrefix("unix:")
            ? self.text : "dormouse://" + self.text
    }

    /// The exchange that it names, as it is written there; nil: none.
    var exchange: String? {
        let parts = self.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        for option in parts.dropFirst().joined().split(separator: "&")
        where option.hasPrefix("exchange=") {
            return String(option.dropFirst("exchange=".count))
        }
        guard !self.uri.hasPrefix("unix:") else { return nil }
        // The scheme, nothing, the hosts, the exchange.
        let pieces = parts[0].split(separator: "/", omittingEmptySubsequences: false)
        return pieces.count > 3 && !pieces[3].isEmpty ? String(pieces[3]) : nil
    }
}

/// Calls `body`; a failure becomes the command's.
func asking<Value>(
    _ doing: String = "", _ body: () throws(DormouseError) -> Value
) throws(CommandFailure) -> Value {
    do throws(DormouseError) {
        return try body()
    } catch {
        throw CommandFailure(error, doing: doing)
    }
}
