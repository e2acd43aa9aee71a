import DormouseClient
import Foundation

/// What happens in the market, as the chain tells it. The words are the chain's.
enum MarketEvent {
    case list(List)
    case buy(Buy)
    case delist(Delist)
    case offer(Offer)
    case accept(Offer)
    case cancelOffer(CancelOffer)
    case newCollection(NewCollection)
    case newToken(NewToken)
    case gallery(Gallery)
    case exhibit(Exhibit)
    case curationOffer(CurationOffer)

    struct TokenID: Hashable, Decodable {
        struct DataID: Hashable, Decodable {
            let collection: String
            let creator: String
            let name: String
        }

        let propertyVersion: String
        let tokenDataId: DataID

        /// Names the token; also its ordering key.
        var text: String {
            let data = self.tokenDataId
            return "\(data.creator)::\(data.collection)::\(data.name)::\(self.propertyVersion)"
        }

        var collection: String {
            "\(self.tokenDataId.creator)::\(self.tokenDataId.collection)"
        }
    }

    struct Coin: Hashable, Decodable {
        let accountAddress: String
        let moduleName: String
        let structName: String

        /// Such as `0x1::aptos_coin::AptosCoin`; the names come as hexadecimal bytes.
        var currency: String {
            [self.accountAddress, Self.text(self.moduleName), Self.text(self.structName)]
                .joined(separator: "::")
        }

        private static func text(_ hex: String) -> String {
            let digits = Array(hex.utf8.dropFirst(hex.hasPrefix("0x") ? 2 : 0))
            let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                UInt8(String(decoding: digits[$0...($0 + 1)], as: UTF8.self), radix: 16)
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    struct List: Decodable {
        let coinTypeInfo: Coin
        let offerId: Amount
        let price: Amount
        let seller: String
        let timestamp: Amount
        let tokenAmount: Amount
        let tokenId: TokenID
    }

    struct Buy: Decodable {
        let coinTypeInfo: Coin
        let offerId: Amount
        let price: Amount
        let buyer: String
        let seller: String
        let timestamp: Amount
        let tokenAmount: Amount
        let tokenId: TokenID
    }

    struct Delist: Decodable {
        let offerId: Amount
        let seller: String
        let timestamp: Amount
        let tokenId: TokenID
    }

    /// Made, or accepted: `coin_owner` pays. `event_id` names the offer in all its events.
    struct Offer: Decodable {
        let coinAmountPerToken: Amount
        let coinOwner: String
        let coinTypeInfo: Coin
        let eventId: Amount
        let expirationTime: Amount
        let timestamp: Amount
        let tokenAmount: Amount
        let tokenId: TokenID
        /// Of an accepted one: who had the token.
        let tokenOwner: String?
        let isOfferEnd: Bool?
    }

    struct CancelOffer: Decodable {
        let coinOwner: String
        let eventId: Amount
        let timestamp: Amount
        let tokenId: TokenID
    }

    /// nil: it is about a whole collection.
    var token: TokenID? {
        switch self {
        case .list(let event): event.tokenId
        case .buy(let event): event.tokenId
        case .delist(let event): event.tokenId
        case .offer(let event), .accept(let event): event.tokenId
        case .cancelOffer(let event): event.tokenId
        case .newCollection: nil
        case .newToken(let event): event.tokenId
        case .gallery(let event): event.tokenId
        case .exhibit(let event): event.tokenId
        case .curationOffer(let event): event.tokenId
        }
    }

    /// Why an event is none of the market.
    struct Bad: Error, CustomStringConvertible {
        let description: String
    }

    // MARK: In the log

    /// Keys of the log, by fields of the chain.
    static let keys = [
        "list_token_events": "market.list", "buy_token_events": "market.buy",
        "delist_token_events": "market.delist", "offer_token_events": "market.offer",
        "accept_offer_events": "market.accept", "cancel_offer_events": "market.cancel",
        "collection_created_events": "market.collection", "token_created_events": "market.token",
        "gallery_events": "market.gallery", "exhibit_events": "market.exhibit",
        "offer_events": "market.curation", "create_collection_events": "market.gather.collection",
        "create_token_data_events": "market.gather.token",
    ]

    private struct Envelope<Content: Decodable>: Decodable { let data: Content }

    /// What an event of the chain is about, without what the node says around it.
    static func content<Content: Decodable>(
        _ type: Content.Type, json: [UInt8]
    ) throws -> Content {
        try JSONDecoder.ofChain.decode(Envelope<Content>.self, from: Data(json)).data
    }

    init(_ event: Event) throws {
        func content<Content: Decodable>(_ type: Content.Type) throws -> Content {
            try Self.content(type, json: event.payload)
        }
        do {
            switch event.key {
            case "market.list": self = .list(try content(List.self))
            case "market.buy": self = .buy(try content(Buy.self))
            case "market.delist": self = .delist(try content(Delist.self))
            case "market.offer": self = .offer(try content(Offer.self))
            case "market.accept": self = .accept(try content(Offer.self))
            case "market.cancel": self = .cancelOffer(try content(CancelOffer.self))
            case "market.collection": self = .newCollection(try content(NewCollection.self))
            case "market.token": self = .newToken(try content(NewToken.self))
            case "market.gather.collection":
                self = .newCollection(NewCollection(try content(Gathered.Collection.self)))
            case "market.gather.token":
                self = .newToken(NewToken(try content(Gathered.Token.self)))
            case "market.gallery": self = .gallery(try content(Gallery.self))
            case "market.exhibit": self = .exhibit(try content(Exhibit.self))
            case "market.curation": self = .curationOffer(try content(CurationOffer.self))
            default: throw Bad(description: "'\(event.key)' is no event of the market")
            }
        } catch let error as DecodingError {
            throw Bad(description: "'\(event.key)' does not have its fields: \(error)")
        }
    }

    /// The version of the chain's ledger in which it happened; nil: not told.
    static func version(_ event: Event) -> String? {
        struct Version: Decodable { let version: Amount? }
        // Whoever needs more than this has decoded the event before.
        return try? JSONDecoder.ofChain.decode(Version.self, from: Data(event.payload)).version?
            .digits
    }
}

extension JSONDecoder {
    /// The chain's words have underscores.
    static var ofChain: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }
}
