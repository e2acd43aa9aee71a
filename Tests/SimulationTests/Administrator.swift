import Core
import Wire

/// Stops, moves, pauses and forgets subscribers, fetches, and asks for everything there is to list.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
final class Administrator: SimulatedClient, @unchecked Sendable {
    private var lastExchange = 0

    override var turnMicroseconds: Int { 60_000 }

    override func calmDown() {
        super.calmDown()
        self.mustResume = true
    }

    /// Pauses must end, or nothing would be complete.
    private var mustResume = false

    override var waitsFor: String? {
        self.mustResume ? "the administrator to end all pauses" : super.waitsFor
    }

    override func act() {
        if self.simulation.isQuiet { return self.resumeAll() }
        let number = self.dice.within(1...self.simulation.plan.exchanges)
        let id = ExchangeID(rawValue: Int64(number))
        let exchange: [UInt8] = number == 1 ? [] : Array("other-\(number - 1)".utf8)
        guard let name = try? Name("s\(self.dice.below(3))") else { return }
        let bytes = Array(name.text.utf8)
        switch self.dice.below(100) {
        case 0..<15: self.request(.stop(StopRequest(exchange: exchange, name: bytes)))
        case 15..<22: self.seek(name, id, exchange)
        case 22..<32: self.pause(bytes, exchange)
        case 32..<36:
            self.simulation.checker.forgetting(name, in: id)
            self.simulation.statistics.forgets += 1
            self.request(.forget(ForgetRequest(exchange: exchange, name: bytes)))
        case 36..<46: self.request(.list(ListRequest(exchange: exchange, pageSize: 2)))
        case 46..<52: self.request(.listReceivers(ListReceiversRequest(exchange: exchange)))
        case 52..<56: self.request(.exchanges(ExchangesRequest()))
        case 56..<60: self.request(.server(ServerRequest()))
        case 60..<62:
            self.lastExchange += 1
            let name = Array("extra-\(self.lastExchange)".utf8)
            self.request(.createExchange(ExchangeRequest(name: name)))
        case 62..<68:
            // Looking takes nothing from whoever publishes.
            let producer = Array("p\(self.dice.within(0...4))".utf8)
            self.request(.producer(ProducerRequest(exchange: exchange, producer: producer)))
        default: self.fetch(id, exchange)
        }
    }

    private func request(_ request: Request) {
        self.ask(request, .administration(request.method))
    }

    private func seek(_ name: Name, _ id: ExchangeID, _ exchange: [UInt8]) {
        self.simulation.statistics.seeks += 1
        self.simulation.checker.seeking(name, in: id)
        let head = Int(self.simulation.checker.head(id).rawValue)
        self.request(
            .seek(
                SeekRequest(
                    exchange: exchange, name: Array(name.text.utf8),
                    start: self.dice.pick([.next, .first, .last, .position], or: .first),
                    startValue: UInt64(self.dice.within(1...head + 1)))))
    }

    private func pause(_ name: [UInt8], _ exchange: [UInt8]) {
        self.simulation.statistics.pauses += 1
        let until = self.simulation.wallTime.rawValue + UInt64(self.dice.within(1...400_000))
        self.request(
            .pause(
                PauseRequest(
                    exchange: exchange, name: name, until: self.dice.chance(300) ? 0 : until,
                    reason: Array("maintenance".utf8))))
    }

    private func fetch(_ id: ExchangeID, _ exchange: [UInt8]) {
        let head = Int(self.simulation.checker.head(id).rawValue)
        let pattern = self.dice.pick(["#", "a.#", "*.b", "none"], or: "#")
        let request = FetchRequest(
            config: ReceiverConfigMessage(exchange: exchange, patterns: [Array(pattern.utf8)]),
            after: UInt64(self.dice.within(0...head)),
            eventsMax: self.dice.chance(500) ? 0 : UInt32(self.dice.within(1...20)),
            bytesMax: self.dice.chance(500) ? 0 : UInt32(self.dice.within(1...2_000)),
            waitMilliseconds: self.dice.chance(500) ? 0 : UInt32(self.dice.within(1...300)))
        do throws(Failure) {
            let record = FetchRecord(
                exchange: id, request: request, matcher: NaiveMatcher(try request.config.checked()))
            let stream = self.ask(.fetch(request), .fetch(record))
            if self.dice.chance(100) { self.cancel(stream) }
        } catch {
            self.simulation.checker.broke(.answered, error.description)
        }
    }

    /// Of all names, since a pause may hold in the engine although it could not be stored.
    private func resumeAll() {
        guard self.mustResume else { return }
        self.mustResume = false
        for exchange in self.simulation.durable.exchanges {
            let name = exchange.id.rawValue == 1 ? [] : Array(exchange.name.text.utf8)
            for subscriber in exchange.subscribers.keys.sorted() {
                self.request(
                    .pause(PauseRequest(exchange: name, name: Array(subscriber.text.utf8))))
            }
        }
    }

    override func answered(_ stream: UInt32, _ asked: Asked, _ result: Result<Reply, Failure>) {
        guard self.simulation.isQuiet, case .failure(let failure) = result else { return }
        if failure.code.isRetryable { self.mustResume = true }
    }

    override func ended() {
        if self.simulation.isQuiet { self.mustResume = true }
    }
}
