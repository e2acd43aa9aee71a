import Core

/// What is published, and how much of it may be under way.
struct Load {
    var events: Int
    var batch: Int
    /// Events without an answer at one time.
    var window: Int
    var payloadBytes = 100

    var requests: Int { max(1, self.events / self.batch) }
    var requestsWindow: Int { max(1, self.window / self.batch) }
}

/// What a system can be asked to do. Every figure is in events per second.
enum Job {
    /// Into a new, empty log; the end is the last answer.
    case publish(Load)
    /// All that the last publish stored, from the first event on.
    case replay(events: Int)
    /// The same with a filter that one event of a hundred matches; the rate counts what is scanned.
    case filteredReplay(events: Int)
    /// One publisher; the end is the last event at the last subscriber, the rate counts deliveries.
    case fanOut(Load, subscribers: Int)
}

/// Something that stores events, and a generator of load for it.
protocol System: AnyObject {
    var name: String { get }
    /// Version, and what is flushed when.
    var settings: String { get }

    /// Nil when this system is not asked to do that.
    func run(_ job: Job) throws(Failure) -> Double?
}

/// Sends requests while the window allows it, until all are answered. Returns requests per second.
func pump(
    _ link: Link, _ answers: inout some Answers, _ load: Load, answersPerRequest: Int = 1,
    append: (_ request: Int, inout [UInt8]) -> Void
) throws(Failure) -> Double {
    let requests = load.requests
    let window = load.requestsWindow
    let before = answers.answered
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512 << 10)
    var sent = 0
    let begin = seconds()
    while true {
        let answered = (answers.answered - before) / answersPerRequest
        if answered >= requests { break }
        bytes.removeAll(keepingCapacity: true)
        while sent < requests, sent - answered < window, bytes.count < 128 << 10 {
            append(sent, &bytes)
            sent += 1
        }
        if !bytes.isEmpty { try link.write(bytes) }
        if bytes.isEmpty || sent == requests || sent - answered >= window {
            try link.read(&answers)
        }
    }
    return Double(requests) / (seconds() - begin)
}

/// Reads until so many events have been delivered.
func drain(_ link: Link, _ answers: inout some Answers, events: Int) throws(Failure) {
    while answers.delivered < events { try link.read(&answers) }
}

/// Publishes while the slowest subscriber is within the window. Returns deliveries per second.
func fanOut<Each: Answers>(
    _ publisher: Link, _ subscribers: [Link], _ answers: inout [Each], _ load: Load,
    append: (_ request: Int, inout [UInt8]) -> Void
) throws(Failure) -> Double {
    var poller = Poller([publisher] + subscribers)
    var published = answers[0]
    let before = answers.map(\.delivered)
    var bytes: [UInt8] = []
    var sent = 0
    let begin = seconds()
    while true {
        var slowest = load.events
        for index in subscribers.indices {
            slowest = min(slowest, answers[index].delivered - before[index])
        }
        if slowest >= load.requests * load.batch { break }
        bytes.removeAll(keepingCapacity: true)
        while sent < load.requests, sent * load.batch - slowest < load.window,
            bytes.count < 64 << 10
        {
            append(sent, &bytes)
            sent += 1
        }
        if !bytes.isEmpty { try publisher.write(bytes) }
        for index in poller.wait(milliseconds: bytes.isEmpty ? 10_000 : 0) {
            if index == 0 {
                try publisher.read(&published)
            } else {
                try subscribers[index - 1].read(&answers[index - 1])
            }
        }
    }
    return Double(load.requests * load.batch * subscribers.count) / (seconds() - begin)
}
