import Testing

@testable import Core

@Suite struct KeySetTests {
    private static func number(_ key: String, in set: inout KeySet) -> Int? {
        Array(key.utf8).withUnsafeBytes { set.number(of: $0) }
    }

    @Test func keysAreNumberedInTheOrderInWhichTheyCome() {
        var set = KeySet(keysMax: 4)
        #expect(["b", "a", "b", "", "a"].map { Self.number($0, in: &set) } == [0, 1, 0, 2, 1])
        #expect(set.keys == [bytes("b"), bytes("a"), []])
    }

    @Test func aFullSetKnowsItsKeysAndTakesNoOther() {
        var set = KeySet(keysMax: 2)
        #expect(
            ["a", "b", "c", "b", "c"].map { Self.number($0, in: &set) } == [0, 1, nil, 1, nil])
        #expect(set.count == 2)
        set.removeAll()
        #expect(set.keys == [])
        #expect(["c", "a", "c"].map { Self.number($0, in: &set) } == [0, 1, 0])
    }

    /// Keys that share long beginnings and ends, and differ in one byte at any place.
    @Test func keysThatDifferInOneByteAreDifferent() {
        for length in 1...40 {
            let base = [UInt8](repeating: UInt8(ascii: "a"), count: length)
            let keys =
                [base]
                + base.indices.map { index in
                    var key = base
                    key[index] = UInt8(ascii: "b")
                    return key
                }
            var set = KeySet(keysMax: 256)
            for _ in 0..<2 {
                let numbers = keys.map { key in key.withUnsafeBytes { set.number(of: $0) } }
                #expect(numbers == Array(0...length))
            }
            #expect(set.keys == keys)
        }
    }

    @Test func randomKeysGetTheNumbersThatADictionaryGives() {
        var random = SeededGenerator(seed: 1)
        for _ in 0..<50 {
            var set = KeySet(keysMax: Int.random(in: 1...256, using: &random))
            var limit = 0
            var model: [String: Int] = [:]
            let variety = Int.random(in: 1...400, using: &random)
            for _ in 0..<1_000 {
                let key = "k.\(Int.random(in: 0..<variety, using: &random)).x"
                let number = Self.number(key, in: &set)
                if let known = model[key] {
                    #expect(number == known)
                } else if let number {
                    #expect(number == model.count)
                    model[key] = number
                } else {
                    limit = model.count
                }
                #expect(set.count == model.count)
            }
            #expect(limit == 0 || limit == model.count)
        }
    }
}
