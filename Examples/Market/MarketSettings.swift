import EventWorker
import WorkerCommands

/// Where everything is.
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
    private static let marketFields = [
        "delist_token_events", "buy_token_events", "list_token_events",
    ]
    private static let offerFields = [
        "cancel_offer_events", "accept_offer_events", "offer_token_events",
    ]

    init(_ arguments: Arguments) throws {
        let settings = try Settings(arguments, flags: Self.flags, file: "market.conf")
        self.broker = settings.value("broker", default: "dormouse://127.0.0.1:3673")
        self.database = settings.value("database", default: "dbname=market")
        self.exchange = settings.value("exchange", default: "main")
        self.schema = settings.value("schema", default: "market")
        self.node = settings.value("node", default: "http://127.0.0.1:8080")
        let seconds = settings.value("node-timeout", default: "30")
        guard let number = Double(seconds), number > 0, number <= 3_600 else {
            throw UsageError("--node-timeout is '\(seconds)', not a number of seconds up to 3600")
        }
        self.nodeMilliseconds = max(1, Int(number * 1_000))
        self.account = settings.value("account")
        var handles: [Handle] = []
        if let account = self.account {
            let types = [
                (
                    settings.value(
                        "market-handle", default: "\(account)::FixedMarket::FixedMarketEvents"),
                    Self.marketFields
                ),
                (
                    settings.value("offer-handle", default: "\(account)::offer::OfferEvents"),
                    Self.offerFields
                ),
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
