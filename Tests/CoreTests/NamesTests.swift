import Testing

@testable import Core

@Suite struct NamesTests {
    @Test(arguments: [
        "a", "main", "A-Z.a_z:0-9", "team.service@host", "", " ", "a b", "ä", "a/b", "a\0",
    ])
    func bothWaysOfMakingANameAgree(text: String) {
        let fromText = failure { _ = try Name(text) }
        let fromBytes = failure { _ = try Name(bytes: bytes(text)) }
        let isGood = ["a", "main", "A-Z.a_z:0-9"].contains(text)
        #expect((fromText == nil) == isGood && fromText == fromBytes)
        #expect(isGood || fromText?.code == .invalidArgument)
    }

    @Test func everyByteIsJudged() {
        let good = Set(bytes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"))
        for byte in UInt8.min...UInt8.max {
            let problem = failure { _ = try Name(bytes: [byte]) }
            #expect((problem == nil) == good.contains(byte), "\(byte)")
        }
    }

    @Test func namesHaveAtMost128Bytes() throws {
        let longest = String(repeating: "n", count: 128)
        #expect(try Name(longest).text == longest)
        #expect(failure { _ = try Name(longest + "n") }?.message.contains("129 bytes") == true)
    }

    @Test func aFailureSaysWhichNameIsWrong() {
        let problem = failure { _ = try Name("", what: "producer") }
        #expect(problem?.message.hasPrefix("the producer is empty") == true)
    }

    @Test func namesAreOrderedByTheirText() throws {
        #expect(try Name("a") < Name("b") && Name("A") < Name("a"))
        #expect(Name.main.description == "main")
    }
}

@Suite struct EventKeyTests {
    private static func problem(_ key: [UInt8]) -> Failure? {
        key.withUnsafeBytes { EventKey.problem(in: $0) }
    }

    @Test(arguments: ["a", "a.b", "A-Z_0.9", "order.created.eu-west_1"])
    func goodKeys(key: String) {
        #expect(Self.problem(bytes(key)) == nil)
    }

    @Test(arguments: ["", ".", "a.", ".a", "a..b", "a*", "#", "a b", "ä", "a:b", "a\0"])
    func wrongKeys(key: String) {
        #expect(Self.problem(bytes(key))?.code == .invalidArgument)
    }

    @Test func everyByteIsJudged() {
        let good = Set(bytes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"))
        for byte in UInt8.min...UInt8.max {
            #expect((Self.problem([byte]) == nil) == good.contains(byte), "\(byte)")
        }
    }

    @Test func keysHaveAtMost255Bytes() {
        let longest = [UInt8](repeating: 0x61, count: 255)
        #expect(Self.problem(longest) == nil)
        #expect(Self.problem(longest + [0x61])?.message.contains("256 bytes") == true)
    }
}
