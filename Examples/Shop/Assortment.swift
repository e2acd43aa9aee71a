/// Invented customers and the goods of a corner shop.
enum Assortment {
    static func customers(_ count: Int, _ label: String) -> [ShopEvent.Customer] {
        (0..<count).map { index in
            ShopEvent.Customer(
                id: "customer_\(label)_\(Self.padded(index))",
                firstName: Self.pick(Self.firstNames), lastName: Self.pick(Self.lastNames),
                address:
                    "ul. \(Self.pick(Self.streets)) \(Int.random(in: 1...150)), \(Self.pick(Self.towns))"
            )
        }
    }

    static func products(_ label: String) -> [ShopEvent.Product] {
        Self.goods.flatMap { goods in
            goods.names.enumerated().map { index, name in
                ShopEvent.Product(
                    id: "\(goods.id)_\(label)_\(index + 1)", type: goods.type, name: name,
                    price: Money(groszy: Int64.random(in: 1...100)))
            }
        }
    }

    private static func padded(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 3 - text.count)) + text
    }

    private static func pick(_ words: [String]) -> String { words.randomElement() ?? "" }

    private static let goods: [(id: String, type: String, names: [String])] = [
        ("mleko", "mleko", ["Łąkowe", "Poranne"]),
        ("cukier", "cukier", ["Biały kryształ", "Trzcinowy"]),
        ("czekolada", "czekolada", ["Gorzka", "Mleczna", "Z orzechami", "Biała"]),
        ("chleb", "chleb", ["Żytni", "Pszenny", "Razowy"]),
        ("maslo", "masło", ["Śmietankowe", "Solone"]),
    ]
    private static let firstNames = [
        "Anna", "Jan", "Zofia", "Piotr", "Maria", "Tomasz", "Ewa", "Paweł", "Hanna", "Marek",
    ]
    private static let lastNames = [
        "Nowak", "Wiśnia", "Kowal", "Zając", "Lis", "Wrona", "Sikora", "Dąb", "Mazur", "Kos",
    ]
    private static let streets = ["Leszczynowa", "Młyńska", "Polna", "Ogrodowa", "Lipowa", "Długa"]
    private static let towns = ["Gdynia", "Kraków", "Lublin", "Toruń", "Wrocław", "Zamość"]
}
