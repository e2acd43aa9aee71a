/// What the transport knows of the other end of a connection, whatever that says of itself.
package struct PeerIdentity: Hashable, Sendable {
    package enum Evidence: Hashable, Sendable {
        case none
        /// The kernel says so, of whoever connected the unix socket.
        case unixUser(uid: UInt32, gid: UInt32)
        /// The names in a certificate that a trusted authority has signed for a client, exactly as
        /// they are there: `URI:spiffe://example/billing`, `DNS:billing.example`. Other kinds of
        /// names, and names with bytes outside of printable ASCII, are left out.
        case certificate(names: [String])
    }

    package var evidence: Evidence
    /// TLS: what is said can be read by the peer only.
    package var isEncrypted: Bool
    /// On this machine: a unix socket or a loopback address.
    package let isLocal: Bool
    /// Where it comes from; nil for a unix socket.
    package let network: PeerNetwork?

    package init(
        evidence: Evidence = .none, isEncrypted: Bool = false, isLocal: Bool,
        network: PeerNetwork?
    ) {
        self.evidence = evidence
        self.isEncrypted = isEncrypted
        self.isLocal = isLocal
        self.network = network
    }

    /// Of a peer of which nothing is known.
    package static let unknown = PeerIdentity(isLocal: false, network: nil)
}

/// The part of an address that one party can be expected to have for itself: an IPv4 address, or
/// the first 64 bits of an IPv6 address, of which whoever has one has all.
package enum PeerNetwork: Hashable, Sendable {
    case four(UInt32)
    case six(UInt64)

    /// `bytes` are the 4 of an IPv4 or the 16 of an IPv6 address, as on the wire; nil for another
    /// number of them. An IPv4 address inside an IPv6 one is an IPv4 address.
    package init?(addressBytes bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        switch bytes.count {
        case 4:
            self = .four(bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16 where bytes.starts(with: Self.fourInSix):
            self = .four(bytes.suffix(4).reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            self = .six(bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
        case _:
            return nil
        }
    }

    /// ::ffff:0:0/96. Source: RFC 4291, section 2.5.5.2.
    private static let fourInSix: [UInt8] = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]
}

extension PeerNetwork: CustomStringConvertible {
    /// `192.0.2.7` or `2001:db8:0:1::/64`.
    package var description: String {
        switch self {
        case .four(let bits):
            [24, 16, 8, 0].map { "\(bits >> $0 & 0xFF)" }.joined(separator: ".")
        case .six(let bits):
            [48, 32, 16, 0].map { String(bits >> $0 & 0xFFFF, radix: 16) }.joined(separator: ":")
                + "::/64"
        }
    }
}
