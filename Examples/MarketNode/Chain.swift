import Foundation

/// What the fixture node tells: a market in which tokens are listed, bought, taken back, and offered for. The same
/// number of tokens always gives the same chain. Shapes are those of the Aptos REST API.
struct Chain {
    static let account = "0xb9c05ba2d8b2a1ee3c1cbbdfc2ff4a3a0a8f56a3b0c1d2e3f405162738495a6b"
    static let creator = "0xf932dcb9835e681b21d2f411ef99f4f5e577e6ac299eebee2272a39fb348f702"
    static let collection = "Sleepy Dormice"
    static let galleries = "Galleries"

    /// Resources that have streams.
    static let handles: Set = [
        "0x3::token::Collections", "\(account)::FixedMarket::FixedMarketEvents",
        "\(account)::offer::OfferEvents", "\(account)::creation::CreationEvents",
        "\(account)::curation::CurationEvents",
    ]

    /// JSON objects by field of a handle, in order.
    private(set) var streams: [String: [String]] = [
        // Whether anything has happened there or not.
        "list_token_events": [], "buy_token_events": [], "delist_token_events": [],
        "offer_token_events": [], "accept_offer_events": [], "cancel_offer_events": [],
        "collection_created_events": [], "token_created_events": [], "gallery_events": [],
        "offer_events": [], "exhibit_events": [],
    ]
    private var version = 10_203_040
    private var time = 1_666_900_000_000_000

    init(tokens: Int) {
        self.add(
            "create_collection_events", "0x3::token::CreateCollectionEvent",
            """
            {"creator":"\(Self.creator)","collection_name":"\(Self.collection)","uri":"https://example.com/c",\
            "description":"They wake up hungry","maximum":"18446744073709551615"}
            """)
        self.add(
            "collection_created_events", "\(Self.account)::creation::CreateCollectionEvent",
            """
            {"creator":"\(Self.creator)","category":"space","tags":["walls","light"],"name":"\(Self.galleries)",\
            "description":"Where they hang","uri":"https://example.com/g","payees":["\(Self.creator)"],\
            "royalties":["250"],"maximum":"0"}
            """)
        for number in 1...max(tokens, 1) {
            self.tell(of: number)
            if number % 8 == 3 { self.show(number) }
        }
    }

    /// The life of one token, which depends on its number.
    private mutating func tell(of number: Int) {
        let name = "Dormouse #\(number)"
        self.add(
            "create_token_data_events", "0x3::token::CreateTokenDataEvent",
            """
            {"id":{"creator":"\(Self.creator)","collection":"\(Self.collection)","name":"\(name)"},\
            "description":"asleep","maximum":"1","uri":"https://example.com/\(number)",\
            "royalty_payee_address":"\(Self.creator)","royalty_points_denominator":"100",\
            "royalty_points_numerator":"5","name":"\(name)","mutability_config":{"maximum":false,"uri":false,\
            "royalty":false,"description":false,"properties":false},"property_keys":[],"property_values":[],\
            "property_types":[]}
            """)
        let (seller, buyer, other) = (
            "0xa\(number % 10)", "0xb\(number % 7)", "0xc\(number % 5)"
        )
        self.market("list", number, number, price: 150_000_000 + number, ["seller": seller])
        switch number % 4 {
        case 0:
            self.marketDelist(number, number, seller: seller)
            self.market(
                "list", number, 100_000 + number, price: 90_000_000 + number, ["seller": seller])
        case 1, 2:
            self.market(
                "buy", number, number, price: 150_000_000 + number,
                ["seller": seller, "buyer": buyer])
            self.offer("offer", number, number, owner: other, extra: "")
            if number % 4 == 1 {
                self.offer(
                    "accept", number, number, owner: other,
                    extra: ",\"token_owner\":\"\(buyer)\",\"is_offer_end\":true")
            } else {
                self.cancelOffer(number, number, owner: other)
            }
        default: break
        }
    }

    /// A gallery, and the offer to show a token there: accepted and sold, rejected, accepted and redeemed, canceled, in turn.
    private mutating func show(_ number: Int) {
        let gallery = Self.token("Gallery #\(number)", of: Self.galleries)
        self.add(
            "token_created_events", "\(Self.account)::creation::CreateTokenEvent",
            """
            {"description":"four walls","name":"Gallery #\(number)","uri":"https://example.com/g/\(number)",\
            "creator":"\(Self.creator)",\(gallery)}
            """)
        self.add(
            "gallery_events", "\(Self.account)::curation::GalleryEvent",
            """
            {"id":"\(number)","event_type":"GalleryCreated","owner":"0xd\(number % 3)",\(gallery),\
            "space_type":"hall","name":"Gallery #\(number)","metadata_uri":"https://example.com/g/\(number)",\
            "timestamp":"\(self.time / 1_000_000)","payees":["0xd\(number % 3)"],"commission_rates":["10"]}
            """)
        self.curationOffer(number, "Created")
        switch number % 32 {
        case 3, 19:
            self.curationOffer(number, "Accepted")
            self.exhibit(number, "Listed", owner: "0xa\(number % 10)")
            self.exhibit(number, "Frozen", owner: "0xa\(number % 10)")
            if number % 32 == 3 {
                self.exhibit(number, "Sold", owner: "0xe\(number % 5)")
            } else {
                self.exhibit(number, "Redeemed", owner: "0xa\(number % 10)")
            }
        case 11: self.curationOffer(number, "Rejected")
        default: self.curationOffer(number, "Canceled")
        }
    }

    private mutating func curationOffer(_ number: Int, _ what: String) {
        self.add(
            "offer_events", "\(Self.account)::curation::CurationOfferEvent",
            """
            {"id":"\(number)","event_type":"Offer\(what)",\(Self.token(number)),"source":"0xd\(number % 3)",\
            "destination":"0xa\(number % 10)","price":"\(300_000_000 + number)","gallery_id":"\(number)",\
            "offer_start_at":"1666900000","offer_expired_at":"1666990000","exhibit_expired_at":"1669000000",\
            "url":"","detail":"","timestamp":"\(self.time / 1_000_000)"}
            """)
    }

    private mutating func exhibit(_ number: Int, _ what: String, owner: String) {
        self.add(
            "exhibit_events", "\(Self.account)::curation::ExhibitEvent",
            """
            {"id":"\(number)","event_type":"Exhibit\(what)","gallery_id":"\(number)",\(Self.token(number)),\
            "origin":"0xa\(number % 10)","curator":"0xd\(number % 3)","owner":"\(owner)",\
            "expiration":"1669000000","price":"\(300_000_000 + number)","location":"north wall","url":"",\
            "detail":"","timestamp":"\(self.time / 1_000_000)"}
            """)
    }

    private mutating func market(
        _ kind: String, _ token: Int, _ offer: Int, price: Int, _ people: [String: String]
    ) {
        let parties = people.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\"\($0.value)\"" }
        let rest = kind == "list" ? "\"locked_until_secs\":\"0\"" : "\"coin_amount\":\"\(price)\""
        self.add(
            "\(kind)_token_events", "\(Self.account)::FixedMarket::\(kind.capitalized)TokenEvent",
            """
            {\(Self.coin),"offer_id":"\(offer)","price":"\(price)",\(parties.joined(separator: ",")),\
            "timestamp":"\(self.time)","token_amount":"1",\(Self.token(token)),\(rest)}
            """)
    }

    private mutating func marketDelist(_ token: Int, _ offer: Int, seller: String) {
        self.add(
            "delist_token_events", "\(Self.account)::FixedMarket::DelistTokenEvent",
            """
            {"offer_id":"\(offer)","seller":"\(seller)","timestamp":"\(self.time)","token_amount":"1",\
            \(Self.token(token))}
            """)
    }

    private mutating func offer(
        _ kind: String, _ token: Int, _ id: Int, owner: String, extra: String
    ) {
        let field = kind == "offer" ? "offer_token_events" : "accept_offer_events"
        self.add(
            field, "\(Self.account)::offer::\(kind.capitalized)Event",
            """
            {"coin_amount_per_token":"\(200_000_000 + token)","coin_owner":"\(owner)",\(Self.coin),\
            "event_id":"\(id)","expiration_time":"86400000000","timestamp":"\(self.time)",\
            "token_amount":"1",\(Self.token(token))\(extra)}
            """)
    }

    private mutating func cancelOffer(_ token: Int, _ id: Int, owner: String) {
        self.add(
            "cancel_offer_events", "\(Self.account)::offer::CancelEvent",
            """
            {"coin_amount":"\(200_000_000 + token)","coin_owner":"\(owner)",\(Self.coin),\
            "event_id":"\(id)","timestamp":"\(self.time)",\(Self.token(token))}
            """)
    }

    private static let coin = """
        "coin_type_info":{"account_address":"0x1","module_name":"0x6170746f735f636f696e",\
        "struct_name":"0x4170746f73436f696e"}
        """

    private static func token(_ number: Int) -> String {
        Self.token("Dormouse #\(number)", of: Self.collection)
    }

    private static func token(_ name: String, of collection: String) -> String {
        """
        "token_id":{"property_version":"0","token_data_id":{"collection":"\(collection)",\
        "creator":"\(Self.creator)","name":"\(name)"}}
        """
    }

    private mutating func add(_ field: String, _ type: String, _ data: String) {
        let sequence = self.streams[field]?.count ?? 0
        self.streams[field, default: []].append(
            """
            {"version":"\(self.version)","guid":{"creation_number":"4","account_address":"\(Self.account)"},\
            "sequence_number":"\(sequence)","type":"\(type)","data":\(data)}
            """)
        self.version += 3
        self.time += 1_000_000
    }
}
