import Core
import Testing

@Suite struct PeerIdentityTests {
    @Test func aNetworkIsAnIPv4AddressOrHalfOfAnIPv6Address() {
        #expect(PeerNetwork(addressBytes: [192, 0, 2, 7])?.description == "192.0.2.7")
        let six: [UInt8] = [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]
        #expect(PeerNetwork(addressBytes: six)?.description == "2001:db8:0:1::/64")
        #expect(
            PeerNetwork(addressBytes: six)
                == PeerNetwork(addressBytes: six.dropLast(8) + [UInt8](repeating: 9, count: 8)))
    }

    @Test func anIPv4AddressInsideAnIPv6AddressIsTheIPv4Address() {
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 7]
        #expect(PeerNetwork(addressBytes: mapped) == .four(0xC000_0207))
    }

    @Test func otherAddressesHaveNoNetwork() {
        for count in [0, 3, 5, 15, 17] {
            #expect(PeerNetwork(addressBytes: [UInt8](repeating: 1, count: count)) == nil)
        }
    }
}
