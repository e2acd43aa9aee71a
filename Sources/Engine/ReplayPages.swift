internal import Core

/// Where a page of the log begins, or the keys of its chunks.
struct PageKey: Hashable, Sendable {
    let exchange: ExchangeID
    let after: Position
    var isKeys = false
}

/// Pages that were read from the log and may be sent to whoever is there, within a byte budget. All
/// replays share them: a replay holds no memory of its own, and subscribers that replay the same
/// range read it once.
struct ReplayPages {
    private final class Page {
        let exchange: ExchangeID
        let chunks: [Chunk]
        let nextEnd: Position?
        let bytes: Int
        var lastUse: UInt64

        init(exchange: ExchangeID, page: LogPage, lastUse: UInt64) {
            self.exchange = exchange
            self.chunks = page.chunks
            self.nextEnd = page.nextEnd
            self.bytes = page.chunks.reduce(ReplayPages.pageCost) {
                $0 + $1.bytesCount + 4 * $1.count
            }
            self.lastUse = lastUse
        }

        func chunk(holding position: Position) -> Chunk? {
            guard let first = self.chunks.first, let last = self.chunks.last,
                first.first <= position,
                position <= last.last
            else { return nil }
            return self.chunks.first { position <= $0.last }
        }
    }

    /// What a page costs besides its bytes; also bounds how many there are to look through (64 MiB
    /// / 64 KiB = 1,024).
    private static let pageCost = 64 << 10

    private let budget: Int
    private var pages: [Page] = []
    private var uses: UInt64 = 0
    private(set) var bytes = 0

    init(budget: Int) {
        self.budget = budget
    }

    /// The chunk that holds the position after `after`, the end of its page and, if known, of the
    /// next one.
    mutating func chunk(_ exchange: ExchangeID, after: Position) -> (
        chunk: Chunk, pageEnd: Position, nextEnd: Position?
    )? {
        self.uses &+= 1
        for page in self.pages.reversed() where page.exchange == exchange {
            guard let chunk = page.chunk(holding: after.next), let end = page.chunks.last?.last
            else { continue }
            page.lastUse = self.uses
            return (chunk, end, page.nextEnd)
        }
        return nil
    }

    mutating func insert(_ page: LogPage, of exchange: ExchangeID) {
        self.uses &+= 1
        let page = Page(exchange: exchange, page: page, lastUse: self.uses)
        self.pages.append(page)
        self.bytes += page.bytes
        while self.bytes > self.budget, self.pages.count > 1 {
            guard
                let oldest = self.pages.indices.min(by: {
                    self.pages[$0].lastUse < self.pages[$1].lastUse
                })
            else { return }
            self.bytes -= self.pages.remove(at: oldest).bytes
        }
    }
}
