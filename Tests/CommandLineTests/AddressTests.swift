import Core
import PlainClient
import Testing

struct AddressTests {
    @Test func addressesOfAHostHaveTheirDefaults() throws {
        #expect(Address.standard.description == "dormouse://127.0.0.1:3673")
        let plain = try Address("dormouse://db.example.com")
        #expect(plain.endpoint == .tcp(host: "db.example.com", port: 3673))
        #expect(plain.exchange == nil)
        let whole = try Address("dormouse://db:4000/orders")
        #expect(whole.endpoint == .tcp(host: "db", port: 4000))
        #expect(whole.exchange == "orders")
        #expect(try Address("localhost:1").endpoint == .tcp(host: "localhost", port: 1))
        #expect(try Address("dormouse://h/").exchange == nil)
    }

    @Test func addressesOfVersionSixStandInBrackets() throws {
        let address = try Address("dormouse://[::1]:3673/a")
        #expect(address.endpoint == .tcp(host: "::1", port: 3673))
        #expect(address.description == "dormouse://[::1]:3673/a")
        #expect(try Address("dormouse://[::1]").endpoint == .tcp(host: "::1", port: 3673))
    }

    @Test func unixSocketsHaveOneOrThreeSlashes() throws {
        #expect(try Address("unix:/run/d.sock").endpoint == .unix(path: "/run/d.sock"))
        #expect(try Address("unix:///run/d.sock").endpoint == .unix(path: "/run/d.sock"))
        #expect(try Address("unix:d.sock").description == "unix:d.sock")
    }

    @Test(arguments: [
        "", "dormouse://", "dormouse://:3673", "dormouse://h:0", "dormouse://h:65536",
        "dormouse://h:x", "dormouse://h:", "dormouse://[::1", "dormouse://[::1]x", "http://h",
        "unix:", "unix://", "dormouse://user@h", "dormouse://h/a b",
        "unix:/" + String(repeating: "x", count: 110),
    ])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(throws: Failure.self) { try Address(text) }
    }
}
