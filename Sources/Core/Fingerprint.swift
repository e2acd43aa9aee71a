/// 64 bits that tell texts apart: in names made of longer texts, and to find words quickly. The same for ever, because
/// such names are stored. Not against somebody who looks for two texts with the same one.
///
/// FNV-1a. Source: http://www.isthe.com/chongo/tech/comp/fnv/
package func fingerprint(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
