/// How the tails of all exchanges share their memory: whoever has the most gives way, whether it is
/// busy or idle. So a tail that nobody adds to keeps nobody else from having one, and one exchange
/// alone may use all of it.
package struct TailBudget {
    package struct Share {
        package let exchange: ExchangeID
        package let bytes: Int
        /// It has more than its newest chunk, which always stays.
        package let canGive: Bool

        package init(exchange: ExchangeID, bytes: Int, canGive: Bool) {
            self.exchange = exchange
            self.bytes = bytes
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

    /// Whose oldest chunk must go now; of equal tails that of the older exchange. nil when all fits,
    /// or nobody can give.
    package func giver(among shares: some Sequence<Share>) -> ExchangeID? {
        guard self.bytes > self.bytesMax else { return nil }
        var largest: Share?
        for share in shares where share.canGive {
            guard let known = largest else {
                largest = share
                continue
            }
            if (share.bytes, known.exchange) > (known.bytes, share.exchange) { largest = share }
        }
        return largest?.exchange
    }
}
