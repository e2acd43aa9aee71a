import EventWorker
import Foundation
import WorkerCommands

/// Where everything is: from the command line, else from the file, else as on a developer's machine.
struct MarketSettings {
    let broker: String
    let database: String
    let exchange: String
    let schema: String
    let node: String
    let nodeMilliseconds: Int
    let account: String?
    /// Streams of the chain.
    let handles: [Handle]

    static let flags: Set<String> = [
        "--config", "--broker", "--database", "--exchange", "--schema", "--node", "--node-timeout",
        "--account", "--market-handle", "--offer-handle",
    ]
    private static let file = "market.conf"
    private static let marketFields = [
        "delist_token_events", "buy_token_events", "list_token_events",
    ]
    private static let offerFields = [
        "cancel_offer_events", "accept_offer_events", "offer_token_events",
    ]

    init(_ arguments: Arguments) throws {
        var settings = Settings()
        let names = Set(Self.flags.map { String($0.dropFirst(2)) }).subtracting(["config"])
        if let path = arguments.value("--config") {
            settings = try Settings(path: path, names: names)
        } else if FileManager.default.fileExists(atPath: Self.file) {
            settings = try Settings(path: Self.file, names: names)
        }
        func value(_ name: String) -> String? {
            arguments.value("--\(name)") ?? settings.value(name)
        }
        self.broker = value("broker") ?? "dormouse://127.0.0.1:3673"
        self.database = value("database") ?? "dbname=market"
        self.exchange = value("exchange") ?? "main"
        self.schema = value("schema") ?? "market"
        self.node = value("node") ?? "http://127.0.0.1:8080"
        let seconds = value("node-timeout") ?? "30"
        guard let number = Double(seconds), number > 0, number <= 3_600 else {
            throw UsageError("--node-timeout is '\(seconds)', not a number of seconds up to 3600")
        }
        self.nodeMilliseconds = max(1, Int(number * 1_000))
        self.account = value("account")
        var handles: [Handle] = []
        if let account = self.account {
            let types = [
                (
                    value("market-handle") ?? "\(account)::FixedMarket::FixedMarketEvents",
                    Self.marketFields
                ),
                (value("offer-handle") ?? "\(account)::offer::OfferEvents", Self.offerFields),
            ]
            for (type, fields) in types {
                handles += fields.map { Handle(account: account, type: type, field: $0) }
            }
        }
        self.handles = handles
    }

    func requireAccount() throws(UsageError) -> String {
        guard let account = self.account else {
            throw UsageError("--account is missing: whose events?")
        }
        return account
    }
}
