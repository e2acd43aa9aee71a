/// Every bound of the server, with its reason. Those that an operator may need to change are fields
/// and have a flag; those that belong to the protocol are constants.
package struct Limits: Hashable, Sendable {
    // Of the protocol.

    /// Before the hello: a token, a name and a library version need far less; a stranger gets no
    /// more memory than this.
    package static let helloFrameBytesMax = 4096
    /// Above this no operator may go: two frames of it per connection must stay affordable.
    package static let frameBytesMaxMax = 8 << 20
    /// So many full appends are 256 MiB, all of which must be sent again after a lost connection.
    package static let appendsInFlightMaxMax = 64
    package static let eventIDBytesMax = 64
    package static let contentTypeBytesMax = 255
    package static let headerNameBytesMax = 255
    /// 64 headers of a few bytes cost less than one event of 100 bytes to match; more is a misuse
    /// as payload.
    package static let eventHeadersMax = 64
    package static let headerMatchValueBytesMax = 1024
    /// Each pattern may be tried for each new key; 64 keep a key under 10 µs.
    package static let patternsMax = 64
    /// Of all patterns of a config together. To compare one key may take this many steps for each
    /// of its words: 512 × 128 words at the worst, which is less than a millisecond.
    package static let patternWordsMax = 512
    package static let headerMatchesMax = 16
    /// `HelloRequest.client`, `PauseRequest.reason` and the like, which are kept per connection or
    /// subscriber.
    package static let textBytesMax = 256
    /// All of them are in memory, some 10 KiB each at the worst.
    package static let principalsMax = 10_000
    /// Of one principal. Each publish of a new key, and each subscription, is compared with all.
    package static let grantsMax = 64
    /// Of one principal: a few that run out while new ones are handed round.
    package static let credentialsMax = 16
    /// How long an old token may go on beside a new one: a quarter of a year.
    package static let graceMillisecondsMax: UInt64 = 90 * 86_400_000
    /// To find out whether a subscription is within what was granted; in 64-bit words, about 1 ns each. A
    /// millisecond for all patterns of a config; ordinary ones take some hundred.
    package static let coverWorkMax = 1_000_000
    /// A TLS client's certificates: three of 4 KiB and room to spare, before we know who it is.
    package static let certificateBytesMax = 16 << 10
    /// Names in a certificate that are looked at.
    package static let certificateNamesMax = 32
    /// Names of subscriptions that the list of connections shows of each: enough for nearly all, little
    /// enough that one entry is a small part of a page.
    package static let connectionNamesMax = 8
    /// PING's payload.
    package static let pingBytesMax = 8

    /// Chunks that are kept compressed for subscribers who want them so: those that are awake read near each other,
    /// and each further one is compared with every delivery.
    package static let compressedBlocksMax = 32
    /// Bytes of these chunks, plain and compressed.
    package static let compressedBytesMax = 32 << 20
    /// Sockets that a service manager passes: a few addresses; anything else is a mistake.
    package static let passedSocketsMax = 64
    /// How often the service manager is told how we are; the state of the server a second ago is news enough.
    package static let beatMilliseconds = 1_000
    /// Awake subscriptions whose lag is looked at for one line about the server: less than a millisecond.
    package static let summarySubscriptionsMax = 10_000
    /// Connections to the metrics page, each with a thread: a few watchers, and who asks by hand.
    package static let pageConnectionsMax = 16
    /// How long a connection to the metrics page may be silent.
    package static let pageSecondsMax: UInt32 = 10
    /// Memory of such a connection: the head of a request.
    package static let pageMemoryMax = 16 << 10
    /// How long one who asks for numbers waits for the event loop; Prometheus gives up after 10 s.
    package static let metricsMillisecondsMax = 5_000
    /// The loop turns at least with every beat; silent for so long, it hangs.
    package static let healthSilenceMillisecondsMax = 10_000
    /// Times of old events that are looked up after numbers were told; each reads a chunk of the log.
    package static let waitingTimesAtOnceMax = 20

    /// What is in a tail for longer gives way before what is newer, in whatever exchange: a client that has lost its connection
    /// is back after 5 s, its longest pause.
    package static let tailFreshMicroseconds: UInt64 = 5_000_000

    // Of the server.

    /// Payload of a frame. An event and its request, or its delivery, fit into one.
    package var frameBytesMax = 1 << 20
    /// An absolute deadline from accept to hello: slow strangers do not keep a descriptor.
    package var helloMillisecondsMax = 5_000
    package var heartbeatMilliseconds = 20_000
    /// How long who does not show who it is waits for the answer: enough to make guessing slow, well below
    /// the hello's deadline.
    package var refusalMilliseconds = 500
    /// A connection whose socket takes nothing for this long is closed and its subscribers sleep.
    package var writeMillisecondsMax = 10_000
    package var connectionsMax = 10_000
    /// Of one principal: a service with a few machines needs some ten, and one that opens them without end leaves
    /// places for fifty others like it.
    package var connectionsPerPrincipalMax = 200
    /// Connections that have not said hello, TLS handshakes included. 8 KiB each without TLS, 64 KiB
    /// with it: what strangers can make us hold is 32 MiB.
    package var newcomersMax = 512
    /// The same from one address (of IPv6: from one /64), or of one user on a unix socket. Covers
    /// a machine whose services all start at once: those say hello in their first round trip.
    package var newcomersPerOriginMax = 32
    /// Bytes waiting in one connection's way out. 4 frames: enough to keep a socket busy, little
    /// enough × connections.
    package var outboundBytesMax = 4 << 20
    /// The same in all connections together. Beyond it, only those who have taken everything are sent
    /// more, a frame at a time: who reads goes on, who does not meets its deadline.
    package var outboundTotalBytesMax = 512 << 20
    /// How often those who wait because of that are looked at.
    package static let pressureMilliseconds = 50
    /// Requests of one connection that wait for their answer; more pause its reading. Covers a
    /// window of 1,000 single publishes several times over.
    package var requestsMax = 16_384
    /// Bytes of one connection's publishes that wait for their commit; more pause its reading. 16
    /// full frames.
    package var publishBytesMax = 16 << 20
    package var streamsMax = 1_024

    /// Bytes of all publishes that wait for their commit; more are answered RESOURCE_EXHAUSTED.
    package var pendingBytesMax = 64 << 20
    /// How long publishes wait for a store that is away before they are answered UNAVAILABLE.
    package var publishWaitMilliseconds = 10_000
    /// Target size of a chunk: 256 KiB reach 95 % of plain libpq's rate and keep a page of four
    /// within 1 MiB.
    package var chunkBytesMax = 256 << 10
    /// Bytes of one append statement: about 16 chunks, a few milliseconds of commit.
    package var appendBytesMax = 4 << 20
    /// Appends under way at once: the second hides the round trip of the first, and answers that come in smaller parts
    /// keep publishers, server and Postgres busy at the same time. A database that is far away may want more.
    package var appendsInFlightMax = 4
    /// Bytes that gather before an append joins those that are under way. Without it, whatever has come when an
    /// answer arrives goes by itself, often a single request, and many small commits hold up the large ones.
    package var gatherBytes = 64 << 10
    /// Producers remembered per exchange, about 100 bytes each.
    package var producersMax = 1_000_000

    /// The newest chunks, in memory, of all exchanges together.
    package var tailBytes = 256 << 20
    /// Pages read from the log and not yet sent, of all subscribers together.
    package var replayBytes = 64 << 20
    /// A page of the log: one statement's result.
    package var pageBytesMax = 1 << 20
    package var replayReaders = 2
    /// Pages of the log that are under way for one principal; what else it wants waits until one of them has come. Twice the
    /// readers: they are busy while somebody wants something, and whoever else comes waits for four pages, not for thousands.
    package var replaysPerPrincipalMax = 4

    package var exchangesMax = 1_000
    package var receiversMax = 100_000
    package var subscribersMax = 1_000_000
    package var creditEventsDefault: UInt32 = 1_000
    package var creditBytesDefault: UInt32 = 8 << 20
    /// Entries of one page of a listing.
    package var listPageMax = 500
    package var fetchWaitMillisecondsMax = 60_000
    /// A bookmark tells a subscriber to whom nothing matches how far the log is; at most this
    /// often.
    package var bookmarkMilliseconds = 1_000

    /// Filtering and sending are interrupted after so much work to let others have their turn; a unit
    /// is a word of a pattern compared with a key, some 20 ns: 5 ms.
    package var turnWorkMax = 250_000

    /// How long saved positions may lag behind acknowledged ones, while there are few of them.
    package var saveMilliseconds = 100
    /// Beyond this, positions of awake subscribers wait longer: 10,000 subscribers that acknowledge
    /// all the time are saved every two seconds. A changed row costs Postgres 3 to 6 µs, so these
    /// are at most 3 % of a core.
    package var savesPerSecondMax = 5_000
    /// From SIGTERM to exit.
    package var drainMillisecondsMax = 20_000
    package var retryMillisecondsMin = 50
    package var retryMillisecondsMax = 2_000
    /// A statement that takes longer counts as lost, and its connection is given up. Postgres itself
    /// ends it at three quarters of this; behind a frozen server or network nobody does.
    package var databaseMilliseconds = 15_000
    /// How often a server asks whether its exchanges are still its own: how long one that was
    /// displaced may go on promising what it cannot keep.
    package var ownershipMilliseconds = 2_000
    /// For so long the server that took our exchanges must show no sign of life before this one ends,
    /// to be started anew. Longer than a server needs to start again or to connect again.
    package var takeoverMilliseconds = 30_000
    /// How often the outbox is looked at while it is empty; 0 = never, and then nothing is moved. On average
    /// half of this is added to the time from COMMIT to delivery; a look takes server and Postgres some 400 µs.
    package var outboxMilliseconds = 10
    /// Rows of the outbox that are moved at once: some tens of milliseconds.
    package var outboxRowsMax = 10_000
    /// How often small chunks are merged; 0 = never.
    package var mergeMilliseconds = 10_000
    /// How often our TLS certificate is looked at: nobody else looks at a server that just runs.
    package var certificateMilliseconds = 86_400_000
    /// Subscriptions of which the metrics page tells, three lines each: what a Prometheus takes without noticing.
    package var metricsSubscriptionsMax = 1_000

    package init() {}

    /// The largest event message: a request or delivery that holds just this one still fits into a
    /// frame. 1 KiB covers the other fields of both (names of at most 128 bytes, a few integers).
    package var eventBytesMax: Int { self.frameBytesMax - 1024 }

    /// Entries of the page that a request asked for; 0 = as many as may be.
    package func pageSize(_ asked: UInt32) -> Int {
        asked == 0 ? self.listPageMax : min(Int(asked), self.listPageMax)
    }

    /// What is wrong with the relations between the limits, or nil.
    package var problem: String? {
        let least = [
            ("--heartbeat-ms", self.heartbeatMilliseconds),
            ("--hello-ms", self.helloMillisecondsMax),
            ("--write-ms", self.writeMillisecondsMax),
            ("--connections-per-principal", self.connectionsPerPrincipalMax),
            ("--newcomers", self.newcomersMax),
            ("--newcomers-per-address", self.newcomersPerOriginMax),
            ("--appends-in-flight", self.appendsInFlightMax),
            ("--chunk-bytes", self.chunkBytesMax), ("--append-bytes", self.appendBytesMax),
            ("--requests", self.requestsMax), ("--replay-readers", self.replayReaders),
            ("--replays-per-principal", self.replaysPerPrincipalMax),
            ("--page-bytes", self.pageBytesMax), ("--saves", self.savesPerSecondMax),
            ("--retry-min-ms", self.retryMillisecondsMin),
            ("--database-ms", self.databaseMilliseconds),
            ("--ownership-ms", self.ownershipMilliseconds),
            ("--outbox-rows", self.outboxRowsMax), ("--list-page", self.listPageMax),
        ]
        if let (name, value) = least.first(where: { $0.1 < 1 }) {
            return "\(name) is \(value); expected at least 1"
        }
        if self.frameBytesMax < 16 << 10 || self.frameBytesMax > Self.frameBytesMaxMax {
            return
                "--frame-bytes is \(self.frameBytesMax); expected 16384 to \(Self.frameBytesMaxMax)"
        }
        if self.appendsInFlightMax > Self.appendsInFlightMaxMax {
            return "--appends-in-flight is \(self.appendsInFlightMax); expected 1 to "
                + "\(Self.appendsInFlightMaxMax)"
        }
        if self.outboundBytesMax < 2 * self.frameBytesMax {
            return
                "--outbound-bytes is \(self.outboundBytesMax); expected at least two frames (\(2 * self.frameBytesMax))"
        }
        if self.outboundTotalBytesMax < self.outboundBytesMax {
            return "--outbound-total-bytes is \(self.outboundTotalBytesMax); expected at least "
                + "--outbound-bytes (\(self.outboundBytesMax))"
        }
        if self.publishBytesMax < self.frameBytesMax || self.pendingBytesMax < self.publishBytesMax
        {
            return "expected --frame-bytes ≤ --publish-bytes ≤ --pending-bytes"
        }
        if self.replayBytes < 2 * self.replayReaders * self.pageBytesMax {
            return "--replay-bytes is \(self.replayBytes); expected two pages per reader "
                + "(\(2 * self.replayReaders * self.pageBytesMax))"
        }
        return nil
    }
}
