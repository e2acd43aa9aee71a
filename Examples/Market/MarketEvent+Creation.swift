/// Collections and tokens that are made: in the market, or elsewhere on the chain and gathered from there.
extension MarketEvent {
    struct NewCollection: Decodable {
        let creator: String
        let name: String
        let description: String
        let uri: String
        let maximum: Amount
        /// This and the following: nil where only the market tells.
        let category: String?
        let tags: [String]?
        /// Who gets which part of each sale.
        let payees: [String]?
        let royalties: [Amount]?

        init(_ gathered: Gathered.Collection) {
            self.creator = gathered.creator
            self.name = gathered.collectionName
            self.description = gathered.description
            self.uri = gathered.uri
            self.maximum = gathered.maximum
            (self.category, self.tags, self.payees, self.royalties) = (nil, nil, nil, nil)
        }

        var id: String { "\(self.creator)::\(self.name)" }
    }

    struct NewToken: Decodable {
        let creator: String
        let description: String
        let uri: String
        let tokenId: TokenID

        init(_ gathered: Gathered.Token) {
            self.creator = gathered.id.creator
            self.description = gathered.description
            self.uri = gathered.uri
            self.tokenId = TokenID(propertyVersion: "0", tokenDataId: gathered.id)
        }
    }

    /// As the framework's own token module tells it.
    enum Gathered {
        struct Collection: Decodable {
            let creator: String
            let collectionName: String
            let uri: String
            let description: String
            let maximum: Amount
        }

        struct Token: Decodable {
            let id: TokenID.DataID
            let description: String
            let uri: String
        }
    }
}
