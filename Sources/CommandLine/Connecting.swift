import Core
import PlainClient
import Wire

/// A connection for one command, and the exchange that it is about.
struct Connection {
    let client: Client
    /// Empty: `main`.
    let exchange: [UInt8]

    private static let timeoutDefault: UInt64 = 15_000

    init(_ invocation: Invocation) throws(CommandFailure) {
        let timeout = try invocation.duration("timeout") ?? Self.timeoutDefault
        let text = invocation.value("url") ?? OS.environment("DORMOUSE_URL")
        let address = try attempt { () throws(Failure) in
            try text.map { text throws(Failure) in try Address(text) } ?? .standard
        }
        let exchange = try attempt { () throws(Failure) -> String in
            try invocation.value("exchange").map { name throws(Failure) in
                try Name(name, what: "exchange").text
            } ?? address.exchange ?? ""
        }
        self.exchange = Array(exchange.utf8)
        do throws(Failure) {
            self.client = try Client(
                address: address, clientName: "dormouse \(invocation.command)",
                timeoutMilliseconds: Int(clamping: timeout))
        } catch {
            var failure = CommandFailure(error)
            if error.code == .unavailable {
                failure.message +=
                    ". Start the server with 'make run', or say where it is with --url"
            }
            throw failure
        }
    }

    /// A call whose reply must be of one kind.
    func call<Value>(
        _ request: Request, doing: String, _ extract: (Reply) -> Value?
    ) throws(CommandFailure) -> Value {
        let reply = try attempt(doing) { () throws(Failure) in try self.client.call(request) }
        guard let value = extract(reply) else { throw Self.unexpected(doing) }
        return value
    }

    static func unexpected(_ doing: String) -> CommandFailure {
        CommandFailure(.internal, "\(doing): the server answered with another kind of reply")
    }
}
