import Foundation

/// What the fixture node tells: a market in which tokens are listed, bought, taken back, and offered for. The same
/// number of tokens always gives the same chain. Shapes are those of the Aptos REST API.
struct Chain {
    static let account = "0xb9c05ba2d8b2a1ee3c1cbbdfc2ff4a3a0a8f56a3b0c1d2e3f405162738495a6b"
    static let creator = "0xf932dcb9835e681b21d2f411ef99f4f5e577e6ac299eebee2272a39fb348f702"
    static let collection = "Sleepy Dormice"

    /// JSON objects by field of a handle, in order.
    private(set) var streams: [String: [String]] = [:]
    private var version = 10_203_040
    private var time = 1_666_900_000_000_000

    init(tokens: Int) {
        self.add(
            "create_collection_events", "0x3::token::CreateCollectionEvent",
            """
            {"creator":"\(Self.creator)","collection_name":"\(Self.collection)","uri":"https://example.com/c",\
            "description":"They wake up hungry","maximum":"18446744073709551615"}
            """)
        for number in 1...max(tokens, 1) { self.tell(of: number) }
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
        """
        "token_id":{"property_version":"0","token_data_id":{"collection":"\(Self.collection)",\
        "creator":"\(Self.creator)","name":"Dormouse #\(number)"}}
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
