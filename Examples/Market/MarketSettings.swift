import EventWorker
import Foundation
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

    /// Streams that one contract writes.
    enum Group: String, CaseIterable {
        case market
        case offer
        case creation
        case curation

        /// Behind the account.
        var type: String {
            switch self {
            case .market: "FixedMarket::FixedMarketEvents"
            case .offer: "offer::OfferEvents"
            case .creation: "creation::CreationEvents"
            case .curation: "curation::CurationEvents"
            }
        }

        /// What depends on others comes before them, so that waiting is the rule and not the exception that nobody has seen.
        var fields: [String] {
            switch self {
            case .market: ["delist_token_events", "buy_token_events", "list_token_events"]
            case .offer: ["cancel_offer_events", "accept_offer_events", "offer_token_events"]
            case .creation: ["token_created_events", "collection_created_events"]
            case .curation: ["exhibit_events", "offer_events", "gallery_events"]
            }
        }
    }

    static let flags = Set(
        [
            "--config", "--broker", "--database", "--exchange", "--schema", "--node",
            "--node-timeout", "--account", "--groups",
        ] + Group.allCases.map { "--\($0.rawValue)-handle" })

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
        let groups = settings.value(
            "groups", default: Group.allCases.map(\.rawValue).joined(separator: ","))
        var handles: [Handle] = []
        let names = groups.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        guard !names.isEmpty else { throw UsageError("--groups is empty: which of them?") }
        for (index, name) in names.enumerated() where !names[..<index].contains(name) {
            let group: Group = try Arguments.choice("--groups", name)
            let account = self.account ?? ""
            let type = settings.value(
                "\(name)-handle", default: "\(account)::\(group.type)")
            handles += group.fields.map { Handle(account: account, type: type, field: $0) }
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
