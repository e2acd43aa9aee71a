/// Connections that have not been let in yet, oldest first. When there are too many, of all or of one
/// origin, the oldest goes: who means it needs one round trip, and who only holds a place is the
/// one that has held it longest.
package struct Newcomers {
    /// Who shares a bound.
    package enum Origin: Hashable, Sendable {
        case network(PeerNetwork)
        case unixUser(UInt32)
        case unknown

        package init(_ identity: PeerIdentity) {
            if let network = identity.network {
                self = .network(network)
            } else if case .unixUser(let uid, _) = identity.evidence {
                self = .unixUser(uid)
            } else {
                self = .unknown
            }
        }
    }

    private let countMax: Int
    private let countPerOriginMax: Int
    private var origins: [ConnectionID: Origin] = [:]
    /// In the order of their coming; of those that have left, a few may still be in it.
    private var all = Line()
    private var lines: [Origin: Line] = [:]

    package init(limits: Limits) {
        // Half of all places are for those who are in, however few there are.
        self.countMax = min(limits.newcomersMax, max(1, limits.connectionsMax / 2))
        self.countPerOriginMax = limits.newcomersPerOriginMax
    }

    package var count: Int { self.origins.count }

    /// Returns whom to close for it, who counts as gone from here on.
    package mutating func arrived(_ id: ConnectionID, from origin: Origin) -> ConnectionID? {
        var evicted: ConnectionID?
        if self.lines[origin]?.count ?? 0 >= self.countPerOriginMax {
            evicted = self.lines[origin]?.first(among: self.origins)
        } else if self.count >= self.countMax {
            evicted = self.all.first(among: self.origins)
        }
        if let evicted { self.left(evicted) }
        self.origins[id] = origin
        self.all.append(id)
        self.lines[origin, default: Line()].append(id)
        return evicted
    }

    /// It was let in, or is gone. A second time changes nothing.
    package mutating func left(_ id: ConnectionID) {
        guard let origin = self.origins.removeValue(forKey: id) else { return }
        self.all.left(among: self.origins)
        self.lines[origin]?.left(among: self.origins)
        if self.lines[origin]?.count == 0 { self.lines[origin] = nil }
    }

    package func contains(_ id: ConnectionID) -> Bool { self.origins[id] != nil }
}

/// A queue from whose middle members may go: they are passed over later.
private struct Line {
    private var ids: [ConnectionID] = []
    private var head = 0
    private(set) var count = 0

    mutating func append(_ id: ConnectionID) {
        self.ids.append(id)
        self.count += 1
    }

    mutating func first(among here: [ConnectionID: Newcomers.Origin]) -> ConnectionID? {
        while self.head < self.ids.count, here[self.ids[self.head]] == nil { self.head += 1 }
        return self.head < self.ids.count ? self.ids[self.head] : nil
    }

    /// One of them has gone. When most of what is kept are such, they are thrown away.
    mutating func left(among here: [ConnectionID: Newcomers.Origin]) {
        self.count -= 1
        guard self.ids.count >= 2 * self.count + 16 else { return }
        self.ids = self.ids[self.head...].filter { here[$0] != nil }
        self.head = 0
    }
}
