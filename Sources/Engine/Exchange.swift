internal import Channels
internal import Core

/// An exchange that this server owns: its log's writing end, its tail, and everything that reads
/// it.
final class Exchange {
    let id: ExchangeID
    let name: Name
    var log: LogMachine
    /// The oldest position that is stored.
    var first: Position
    var tail = TailBuffer()
    /// Of all stored event records.
    var bytes: UInt64
    /// Something may be taken by the writer.
    let writerSignal = Signal()
    /// Rows of the outbox may have been moved.
    let movedSignal = Signal()
    /// Taken and not handed to the store yet, oldest first; one per append under way at most.
    var taken: [Append] = []

    /// By the canonical bytes of their configs.
    var receivers: [[UInt8]: Receiver] = [:] {
        didSet { self.receiversInOrder = nil }
    }
    /// The durable ones, awake or asleep.
    var subscribers: [Name: Subscriber] = [:]
    /// Names by the principal that has them.
    private var namesOfPrincipal: [Name: Set<Name>] = [:]
    /// Whose rows are being written: they count, or many at once would pass the limit.
    var subscribersInMaking = 0
    /// Those with awake subscribers.
    var awakeReceivers = Roster<Receiver>(\.place)
    /// Fetches that wait for something new.
    var fetchers: Set<UInt64> = []
    /// Whom new events concern, of the receivers with awake subscribers.
    let index = PatternIndex<Receiver>()
    /// The newest position that was looked up in the index.
    private(set) var indexed: Position
    private var indexRound: UInt64 = 0
    /// Idle subscribers will be told how far the log is.
    var areBookmarksArmed = false
    var isExpiryArmed = false
    var isRecovering = false
    /// Another server has taken it; everybody was told.
    var isLost = false
    /// Recoveries since something was committed.
    var recoveries = 0
    /// Something was committed since chunks were last merged.
    var isWorthMerging = true
    private var namesInOrder: [Name]?
    private var receiversInOrder: [Receiver]?

    init(_ record: ExchangeRecord, limits: Limits) {
        self.id = record.id
        self.name = record.name
        self.first = record.first
        self.indexed = record.head
        self.bytes = record.bytes
        self.log = LogMachine(
            exchange: record.id, head: record.head, epoch: record.epoch,
            lastAt: record.lastAt, configuration: .init(limits))
    }

    var head: Position { self.log.head }

    /// Sorted once and kept until a subscriber comes or goes: listings page through it.
    var sortedNames: [Name] {
        if let known = self.namesInOrder { return known }
        let sorted = self.subscribers.keys.sorted()
        self.namesInOrder = sorted
        return sorted
    }

    var sortedReceivers: [Receiver] {
        if let known = self.receiversInOrder { return known }
        let sorted = self.receivers.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map(\.value)
        self.receiversInOrder = sorted
        return sorted
    }

    func add(_ subscriber: Subscriber, named name: Name) {
        self.subscribers[name] = subscriber
        self.namesInOrder = nil
        if let principal = subscriber.principal { self.give(subscriber, to: principal) }
    }

    func remove(named name: Name) {
        let subscriber = self.subscribers.removeValue(forKey: name)
        self.namesInOrder = nil
        guard let principal = subscriber?.principal else { return }
        self.namesOfPrincipal[principal]?.remove(name)
        if self.namesOfPrincipal[principal]?.isEmpty == true {
            self.namesOfPrincipal[principal] = nil
        }
    }

    /// The name belongs to this principal.
    func give(_ subscriber: Subscriber, to principal: Name) {
        subscriber.principal = principal
        if let name = subscriber.name {
            self.namesOfPrincipal[principal, default: []].insert(name)
        }
    }

    /// The receivers of the subscribers that somebody is shown, with how many of these are awake and asleep.
    func receivers(in sight: Permissions.Sight) -> [(Receiver, awake: Int, sleeping: Int)] {
        switch sight {
        case .all:
            return self.sortedReceivers.map { ($0, $0.awake.count, $0.sleeping) }
        case .own:
            var places: [ObjectIdentifier: Int] = [:]
            var found: [(Receiver, awake: Int, sleeping: Int)] = []
            for subscriber in self.names(in: sight).compactMap({ self.subscribers[$0] }) {
                let receiver = subscriber.receiver
                let place = places[ObjectIdentifier(receiver), default: found.count]
                if place == found.count {
                    places[ObjectIdentifier(receiver)] = place
                    found.append((receiver, 0, 0))
                }
                if subscriber.machine.awake == nil {
                    found[place].sleeping += 1
                } else {
                    found[place].awake += 1
                }
            }
            return found
        }
    }

    /// The names that somebody is shown, in order.
    func names(in sight: Permissions.Sight) -> [Name] {
        switch sight {
        case .all: return self.sortedNames
        case .own(let principal, let administered):
            var names = self.namesOfPrincipal[principal] ?? []
            for prefix in administered {
                let start = self.sortedNames.partitioningIndex { $0.text >= prefix }
                names.formUnion(self.sortedNames[start...].prefix { $0.text.hasPrefix(prefix) })
            }
            return names.sorted()
        }
    }

    func woke(_ subscriber: Subscriber) {
        let receiver = subscriber.receiver
        guard receiver.awake.add(subscriber) else { return }
        if subscriber.name != nil { receiver.awakeNamed += 1 }
        guard self.awakeReceivers.add(receiver) else { return }
        receiver.quiet = QuietSpans(since: self.indexed)
        for pattern in receiver.config.indexedPatterns { self.index.insert(receiver, pattern) }
    }

    func fellAsleep(_ subscriber: Subscriber) {
        let receiver = subscriber.receiver
        guard receiver.awake.remove(subscriber) else { return }
        if subscriber.name != nil { receiver.awakeNamed -= 1 }
        guard receiver.awake.isEmpty, self.awakeReceivers.remove(receiver) else { return }
        receiver.forgetKeys()
        for pattern in receiver.config.indexedPatterns { self.index.remove(receiver, pattern) }
    }

    /// Nobody is awake, so nobody misses what is not looked up.
    func skipIndex(to position: Position) { self.indexed = position }

    /// The receivers with awake subscribers that the chunk may hold something for.
    func receivers(for chunk: Chunk) -> [Receiver] {
        self.indexed = chunk.last
        self.indexRound += 1
        var found: [Receiver] = []
        let add = { (receiver: Receiver) in
            guard receiver.indexRound != self.indexRound else { return }
            receiver.indexRound = self.indexRound
            receiver.quiet.hit(chunk)
            found.append(receiver)
        }
        if let keys = chunk.keys {
            for key in keys where found.count < self.awakeReceivers.count {
                key.withUnsafeBytes { self.index.match($0, add) }
            }
        } else {
            for index in 0..<chunk.count where found.count < self.awakeReceivers.count {
                chunk.withKey(at: index) { self.index.match($0, add) }
            }
        }
        return found
    }
}

/// One per distinct config of an exchange: filters chunks once for all its subscribers.
final class Receiver {
    /// nil while only subscribers without a name use it: then it has no row.
    var id: ReceiverID?
    let config: ReceiverConfig
    var awake = Roster<Subscriber>(\.placeInReceiver)
    /// Durable subscribers, awake or asleep.
    var named = 0
    var awakeNamed = 0
    /// Among the receivers with awake subscribers.
    var place: Int?
    /// While among them.
    var quiet = QuietSpans(since: .last)
    fileprivate var indexRound: UInt64 = 0
    /// Who is about to use it and must find it still there.
    var reservations = 0
    /// What there is for it in the log, where somebody has looked.
    private var keySpans = KeySpans()
    private var filter: EventFilter
    private var recent: [(first: Position, last: Position, matches: Matches)] = []

    /// Chunks whose matches are remembered: live subscribers are within a few chunks of each other.
    private static let recentMax = 32

    init(_ config: ReceiverConfig, id: ReceiverID?) {
        self.config = config
        self.id = id
        self.filter = EventFilter(config)
    }

    var sleeping: Int { self.named - self.awakeNamed }
    var isUnused: Bool { self.named == 0 && self.awake.isEmpty && self.reservations == 0 }

    /// Where in the log something may be for it; nil: keys cannot tell.
    func next(inLogAfter position: Position) -> KeySpans.Next? {
        self.filter.judgesKeys ? self.keySpans.next(after: position) : nil
    }

    /// Nobody is awake who could use it.
    func forgetKeys() { self.keySpans = KeySpans() }

    /// Adds what it cost to `work`.
    func learn(after position: Position, _ chunks: [ChunkKeys], _ work: inout Int) {
        let before = self.filter.work
        self.keySpans.learn(after: position, chunks, &self.filter)
        work += self.filter.work - before
    }

    /// Adds what it cost to `work`.
    func matches(_ chunk: Chunk, _ work: inout Int) -> Matches {
        if let known = self.recent.last(where: { $0.first == chunk.first && $0.last == chunk.last })
        {
            return known.matches
        }
        let before = self.filter.work
        let matches = self.filter.matches(chunk)
        work += self.filter.work - before
        if self.recent.count == Self.recentMax { self.recent.removeFirst() }
        self.recent.append((chunk.first, chunk.last, matches))
        return matches
    }
}

/// A subscriber. Asleep, it is a name (its key in the exchange) and the few numbers of its machine.
final class Subscriber {
    /// nil: forgotten when its stream ends.
    let name: Name?
    unowned let exchange: Exchange
    var receiver: Receiver
    var machine: SubscriberMachine
    /// Where it is awake.
    weak var session: Session?
    var placeInSession: Int?
    var placeInReceiver: Int?
    /// Waits for its turn to be sent what it may be sent.
    var isDue = false
    /// The page of the log that it waits for.
    var wantedPage: PageKey?
    /// It waits until its principal may have another page read.
    var isHeld = false
    var isDeadlineArmed = false
    var isSocketArmed = false
    /// A change of its row was asked for, and it is not known whether it happened.
    var isRowUnsure = false
    /// Whose name it is; nil: nobody's.
    var principal: Name?

    init(
        name: Name?, exchange: Exchange, receiver: Receiver, machine: SubscriberMachine,
        principal: Name? = nil
    ) {
        self.principal = principal
        self.name = name
        self.exchange = exchange
        self.receiver = receiver
        self.machine = machine
    }

    var record: SubscriberRecord? {
        guard let name = self.name, let receiver = self.receiver.id else { return nil }
        return SubscriberRecord(
            exchange: self.exchange.id, name: name, receiver: receiver,
            position: self.machine.confirmed,
            epoch: self.machine.epoch, pause: self.machine.pause, principal: self.principal)
    }
}
