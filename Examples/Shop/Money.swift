/// An amount in groszy, the hundredth part of a złoty. Never a fraction.
struct Money: Hashable, Sendable, Codable {
    let groszy: Int64

    init(groszy: Int64) { self.groszy = groszy }

    init(from decoder: any Decoder) throws {
        self.groszy = try decoder.singleValueContainer().decode(Int64.self)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.groszy)
    }

    /// nil: more than can be counted.
    func times(_ quantity: Int64) -> Money? {
        let (product, isOver) = self.groszy.multipliedReportingOverflow(by: quantity)
        return isOver ? nil : Money(groszy: product)
    }

    /// Such as `0.64 zł`.
    var text: String {
        let cents = self.groszy.magnitude % 100
        let sign = self.groszy < 0 ? "-" : ""
        return "\(sign)\(self.groszy.magnitude / 100).\(cents < 10 ? "0" : "")\(cents) zł"
    }
}
