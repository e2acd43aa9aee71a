/// How the tails of all exchanges share their memory. What is old gives way first, the oldest of all: those who were there have got
/// it, and whoever was away for longer reads the log. Of what is fresh, whoever has the most gives way, so that one busy exchange
/// does not take the tails of the others. One exchange alone may use all of it.
package struct TailBudget {
    package struct Share {
        package let exchange: ExchangeID
        package let bytes: Int
        /// When its oldest chunk was published.
        package let oldestAt: Timestamp
        /// It has more than its newest chunk, which always stays.
        package let canGive: Bool

        package init(exchange: ExchangeID, bytes: Int, oldestAt: Timestamp, canGive: Bool) {
            self.exchange = exchange
            self.bytes = bytes
            self.oldestAt = oldestAt
            self.canGive = canGive
        }
    }

    package let bytesMax: Int
    /// Of all tails together.
    package private(set) var bytes = 0

    package init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    package mutating func added(_ bytes: Int) { self.bytes += bytes }
    package mutating func evicted(_ bytes: Int) { self.bytes -= bytes }

    /// Whose oldest chunk must go now; of equal ones that of the older exchange. nil when all fits,
    /// or nobody can give.
    package func giver(among shares: some Sequence<Share>, now: Timestamp) -> ExchangeID? {
        guard self.bytes > self.bytesMax else { return nil }
        var giver: Share?
        for share in shares where share.canGive {
            guard let known = giver else {
                giver = share
                continue
            }
            if Self.gives(share, before: known, now) { giver = share }
        }
        return giver?.exchange
    }

    private static func gives(_ share: Share, before other: Share, _ now: Timestamp) -> Bool {
        let (isOld, isOtherOld) = (Self.isOld(share, now), Self.isOld(other, now))
        if isOld != isOtherOld { return isOld }
        if isOld {
            return (share.oldestAt.rawValue, share.exchange)
                < (other.oldestAt.rawValue, other.exchange)
        }
        return (share.bytes, other.exchange) > (other.bytes, share.exchange)
    }

    private static func isOld(_ share: Share, _ now: Timestamp) -> Bool {
        now.rawValue >= share.oldestAt.rawValue
            && now.rawValue - share.oldestAt.rawValue > Limits.tailFreshMicroseconds
    }
}
