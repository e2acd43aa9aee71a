/// Galleries, and tokens that are shown and sold there. Times are in seconds, unlike those of the rest of the market.
extension MarketEvent {
    /// Made or changed. It is a token itself.
    struct Gallery: Decodable {
        let id: Amount
        let eventType: String
        let owner: String
        let tokenId: TokenID
        let spaceType: String
        let name: String
        let metadataUri: String
        let timestamp: Amount
        let payees: [String]
        let commissionRates: [Amount]
    }

    /// A token in a gallery. `owner` of a sold one is who bought it.
    struct Exhibit: Decodable {
        enum Kind: String, Decodable {
            case listed = "ExhibitListed"
            case frozen = "ExhibitFrozen"
            case redeemed = "ExhibitRedeemed"
            case sold = "ExhibitSold"

            /// Such as `LISTED`.
            var status: String { self.rawValue.dropFirst("Exhibit".count).uppercased() }
        }

        let id: Amount
        let eventType: Kind
        let galleryId: Amount
        let tokenId: TokenID
        let origin: String
        let curator: String
        let owner: String
        let expiration: Amount
        let price: Amount
        let location: String
        let url: String
        let detail: String
        let timestamp: Amount
    }

    /// A curator, `source`, asks an owner, `destination`, for a token to show.
    struct CurationOffer: Decodable {
        enum Kind: String, Decodable {
            case created = "OfferCreated"
            case rejected = "OfferRejected"
            case accepted = "OfferAccepted"
            case canceled = "OfferCanceled"

            /// Such as `CREATED`.
            var status: String { self.rawValue.dropFirst("Offer".count).uppercased() }
        }

        let id: Amount
        let eventType: Kind
        let tokenId: TokenID
        let source: String
        let destination: String
        let price: Amount
        let galleryId: Amount
        let offerStartAt: Amount
        let offerExpiredAt: Amount
        let exhibitExpiredAt: Amount
        let url: String
        let detail: String
        let timestamp: Amount
    }
}
