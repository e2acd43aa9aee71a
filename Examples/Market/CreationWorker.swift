import DormouseClient
import EventWorker

/// Made: collections and tokens, also those that `market gather` has brought into the log.
struct CreationWorker: MarketObserver {
    func apply(
        _ content: MarketEvent, _ event: Event, _ tables: MarketTables, in transaction: Transaction
    ) throws {
        switch content {
        case .newCollection(let collection): try tables.save(collection)
        case .newToken(let token):
            try tables.save(token)
            // What was gathered tells what there is, and not what happened.
            guard event.key == "market.token" else { return }
            try tables.add(
                .init(
                    operation: "MINT", destination: token.creator, time: Amount(event.publishedAt)),
                token.tokenId, event)
        default: throw Self.isNotForThis(event)
        }
    }
}
