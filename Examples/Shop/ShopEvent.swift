import DormouseClient
import Foundation

/// What happens in the shop. Everything that a consumer needs is in the event: the price and the time of a purchase
/// are those of the moment when it was made, so that every replay gives the same.
enum ShopEvent: Hashable {
    case newCustomer(Customer)
    case newProduct(Product)
    case purchase(Purchase)

    struct Customer: Hashable, Codable {
        let id: String
        let firstName: String
        let lastName: String
        let address: String
    }

    struct Product: Hashable, Codable {
        let id: String
        let type: String
        let name: String
        let price: Money
    }

    struct Purchase: Hashable, Codable {
        /// Of this purchase, however often it is told.
        let id: String
        let customerId: String
        let productId: String
        let productType: String
        let productName: String
        /// Of one piece.
        let price: Money
        let quantity: Int64
        /// Microseconds since 1970 UTC.
        let boughtAt: Int64
    }

    /// Why an event is no event of the shop.
    struct Bad: Error, CustomStringConvertible {
        let description: String
    }

    // MARK: As an event of the log

    private struct Kind: Codable { let eventType: String }

    /// A purchase has one id for ever; a customer that is told of anew is another event.
    var event: Event {
        get throws {
            switch self {
            case .newCustomer(let customer):
                try Self.event(
                    "shop.customer.\(customer.id).new", "new_customer", customer, Self.newID)
            case .newProduct(let product):
                try Self.event("shop.product.\(product.id).new", "new_product", product, Self.newID)
            case .purchase(let purchase):
                try Self.event(
                    "shop.customer.\(purchase.customerId).buys", "customer_buys_product", purchase,
                    purchase.id)
            }
        }
    }

    static var newID: String { UUID().uuidString.lowercased() }

    private static func event(
        _ key: String, _ kind: String, _ content: some Encodable, _ id: String
    ) throws -> Event {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let fields = String(decoding: try encoder.encode(content), as: UTF8.self).dropFirst()
        return Event(
            key: key, payload: Array("{\"event_type\":\"\(kind)\",\(fields)".utf8),
            id: Array(id.utf8.prefix(64)), contentType: "application/json")
    }

    /// Throws `Bad` for what is not understood: no event is passed over in silence.
    init(_ event: Event) throws { try self.init(json: Data(event.payload)) }

    init(json data: Data) throws {
        do {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            let kind = try decoder.decode(Kind.self, from: data).eventType
            switch kind {
            case "new_customer":
                self = .newCustomer(try decoder.decode(Customer.self, from: data))
            case "new_product":
                let product = try decoder.decode(Product.self, from: data)
                guard product.price.groszy >= 0 else {
                    throw Bad(description: "the price is below 0")
                }
                self = .newProduct(product)
            case "customer_buys_product":
                let purchase = try decoder.decode(Purchase.self, from: data)
                guard purchase.quantity > 0, purchase.price.groszy >= 0,
                    purchase.price.times(purchase.quantity) != nil
                else { throw Bad(description: "quantity or price is out of range") }
                self = .purchase(purchase)
            default: throw Bad(description: "unknown event_type '\(kind)'")
            }
        } catch let error as DecodingError {
            throw Bad(description: "not an event of the shop: \(Self.reason(error))")
        }
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context),
            .dataCorrupted(let context):
            (context.codingPath.last.map { "'\($0.stringValue)': " } ?? "")
                + context.debugDescription
        @unknown default: "the payload is no JSON"
        }
    }
}
