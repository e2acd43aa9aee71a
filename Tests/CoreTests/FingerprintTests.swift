import Testing

@testable import Core

/// Names in databases hold them: another value would be another producer, or another folder.
@Suite
struct FingerprintTests {
    /// Source: http://www.isthe.com/chongo/tech/comp/fnv/, its test vectors.
    @Test(
        arguments: [
            ("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] as [(String, UInt64)])
    func aTextHasTheSameForEver(text: String, expected: UInt64) {
        #expect(fingerprint(text.utf8) == expected)
    }
}
