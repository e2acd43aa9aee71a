import Core
import Foundation
import Wire

/// P8 to P11: what it costs to have many of something. Each with a server of its own.
struct Growth {
    private let options: Options
    private let rounds: Int

    init(_ options: Options) {
        self.options = options
        self.rounds = options.quick ? 3 : options.rounds
    }

    func run(_ figures: inout Figures) throws(Failure) {
        if self.options.wants("P8") { try self.sleeping(&figures) }
        if self.options.wants("P9") { try self.idle(&figures) }
        if self.options.wants("P10") { try self.acknowledging(&figures) }
        if self.options.wants("P11") {
            try self.receivers(&figures)
            try self.largeLog(&figures)
        }
        if self.options.wants("sizes"), !self.options.quick { try self.sizes(&figures) }
    }

    private var load: Load { Load(events: self.options.events, batch: 100, window: 20_000) }

    /// As the others are: see `Run.warmUp`.
    private func warmUp(_ server: Dormouse, _ publisher: Link) throws(Failure) {
        try server.makeExchange(on: publisher)
        for _ in 0..<2 { _ = try server.publish(self.load, on: publisher) }
    }

    private func server(_ folder: String, _ arguments: [String] = []) throws(Failure) -> Dormouse {
        let server = Dormouse(
            self.options, folder: folder, port: self.options.port, arguments: arguments)
        try server.start()
        return server
    }

    private func add(
        _ figures: inout Figures, _ measure: String, _ value: Double, _ unit: String = "/s",
        system: String = "dormouse"
    ) {
        figures.add(measure, system, value, unit: unit)
        say("  \(measure)  \(system): \(shortNumber(value)) \(unit)")
    }

    /// Subscribes so many names and waits until all are awake; 1,000 streams a connection.
    private func wake(
        _ server: Dormouse, _ count: Int, pattern: (Int) -> [String]
    ) throws(Failure) -> (links: [Link], answers: [DormouseAnswers]) {
        var links: [Link] = []
        var answers: [DormouseAnswers] = []
        for first in stride(from: 0, to: count, by: 1_000) {
            let link = try server.connect()
            var answer = DormouseAnswers()
            let names = first..<min(count, first + 1_000)
            var bytes: [UInt8] = []
            for index in names {
                server.subscribe(
                    "name\(index)", stream: UInt32(16 + index - first), patterns: pattern(index),
                    start: .next, acknowledgement: .manual, to: &bytes)
            }
            try link.write(bytes)
            while answer.streamsOpened < names.count { try link.read(&answer) }
            links.append(link)
            answers.append(answer)
        }
        return (links, answers)
    }

    // MARK: - P8

    /// The receivers are made as clients make them, the names by SQL, since that is faster.
    private func sleeping(_ figures: inout Figures) throws(Failure) {
        let (receivers, names) = (1_000, 100_000)
        let server = try self.server("p8")
        defer { server.stop() }
        for _ in 0..<self.rounds { try self.startAgain(server, "P8 start, empty", &figures) }
        let empty = Kernel.resident(server.child?.id ?? 0)
        _ = try self.wake(server, receivers) { ["none.k\($0)"] }
        try Postgres(server.conninfo).execute(
            """
            INSERT INTO dormouse.subscriber (exchange_id, name, receiver_id, position, session_epoch)
            SELECT r.exchange_id, 'sleeper' || r.receiver_id || '.' || n, r.receiver_id, 0, 1
            FROM dormouse.receiver AS r, generate_series(1, \(names / receivers)) AS n
            """)
        for _ in 0..<self.rounds { try self.startAgain(server, "P8 start", &figures) }
        let bytes = Kernel.resident(server.child?.id ?? 0) - empty
        self.add(&figures, "P8 memory", Double(bytes) / 1_024 / Double(names + receivers), "KiB")
    }

    private func startAgain(_ server: Dormouse, _ measure: String, _ figures: inout Figures)
        throws(Failure)
    {
        server.stop()
        self.add(&figures, measure, try server.start(), "s")
    }

    // MARK: - P9

    private func idle(_ figures: inout Figures) throws(Failure) {
        let count = 9_900
        for round in 0..<self.rounds {
            // A fresh server has no freed memory in which connections could hide.
            let server = try self.server("p9-\(round)")
            defer { server.stop() }
            let publisher = try server.connect()
            try server.makeExchange(on: publisher)
            let before = Kernel.resident(server.child?.id ?? 0)
            var links: [Link] = []
            for _ in 0..<count { links.append(try server.connect(bufferBytes: 4_096)) }
            let bytes = Kernel.resident(server.child?.id ?? 0) - before
            self.add(&figures, "P9 memory", Double(bytes) / 1_024 / Double(count), "KiB")
            links.removeAll()
            _ = try server.publish(self.load, on: publisher)
            self.add(&figures, "P9 alone", try server.publish(self.load, on: publisher))
            for _ in 0..<count { links.append(try server.connect(bufferBytes: 4_096)) }
            self.add(&figures, "P9 publish", try server.publish(self.load, on: publisher))
            links.removeAll()
            self.add(&figures, "P9 alone", try server.publish(self.load, on: publisher))
        }
    }

    // MARK: - P10

    /// One event every tenth of a second for all of them, and each acknowledges each; in turns with the same without
    /// acknowledgements.
    private func acknowledging(_ figures: inout Figures) throws(Failure) {
        let server = try self.server("p10")
        defer { server.stop() }
        let publisher = try server.connect()
        try server.makeExchange(on: publisher)
        let frames = try server.frames(Load(events: 1, batch: 1, window: 1))
        var (links, answers) = try self.wake(server, 10_000) { _ in [] }
        for _ in 0..<self.rounds {
            var costs: [Double] = []
            for isAcknowledging in [false, true] {
                let used = server.processorSeconds
                let before = answers.reduce(0) { $0 + $1.delivered }
                let begin = seconds()
                try self.deliver(
                    publisher, frames, links, &answers,
                    until: begin + (self.options.quick ? 2 : 5), isAcknowledging)
                let (after, time) = (server.processorSeconds, seconds() - begin)
                let system = isAcknowledging ? "with acknowledgements" : "without"
                let measured = (after.postgres - used.postgres) / time * 100
                let served = (after.server - used.server) / time * 100
                let delivered = answers.reduce(0) { $0 + $1.delivered } - before
                self.add(&figures, "P10 Postgres", measured, "% of a core", system: system)
                self.add(&figures, "P10 server", served, "% of a core", system: system)
                self.add(&figures, "P10 deliveries", Double(delivered) / time, system: system)
                costs.append(measured)
            }
            self.add(&figures, "P10", max(0, costs[1] - costs[0]), "% of a core")
        }
        links.removeAll()
    }

    private func deliver(
        _ publisher: Link, _ frames: [[UInt8]], _ links: [Link], _ answers: inout [DormouseAnswers],
        until end: Double, _ isAcknowledging: Bool
    ) throws(Failure) {
        var poller = Poller([publisher] + links)
        var published = DormouseAnswers()
        for index in answers.indices { answers[index].acknowledges = isAcknowledging }
        var next = seconds()
        var sent = 0
        while next < end || published.answered < sent {
            let pause = max(0, next - seconds())
            if pause == 0, next < end {
                var frame: [UInt8] = []
                Dormouse.append(frames, sent, to: &frame)
                try publisher.write(frame)
                sent += 1
                next += 0.1
                continue
            }
            for index in poller.wait(milliseconds: Int32(pause * 1_000) + 1) {
                if index == 0 {
                    try publisher.read(&published)
                    continue
                }
                try links[index - 1].read(&answers[index - 1])
            }
        }
    }

    // MARK: - P11

    /// Awake subscribers of receivers that match nothing.
    private func receivers(_ figures: inout Figures) throws(Failure) {
        let server = try self.server("p11")
        defer { server.stop() }
        let publisher = try server.connect()
        try self.warmUp(server, publisher)
        for _ in 0..<self.rounds {
            for (count, measure) in [(1, "P11 one"), (100, "P11 100"), (1_000, "P11 receivers")] {
                try server.makeExchange(on: publisher)
                let awake = try self.wake(server, count) { ["none.k\($0)"] }
                self.add(&figures, measure, try server.publish(self.load, on: publisher))
                _ = awake
            }
        }
    }

    /// Into a small log and into a large one, in turns: two servers, both warm.
    private func largeLog(_ figures: inout Figures) throws(Failure) {
        let sizes = [1_000_000, 10_000_000, 100_000_000].filter { $0 <= self.options.large }
        var logs: [(log: Log, size: Int)] = []
        defer { for each in logs { each.log.server.stop() } }
        for (place, size) in sizes.enumerated() {
            let log = try Log(self, place)
            logs.append((log, size))
            try log.fill(to: size)
        }
        for _ in 0..<self.rounds {
            for (log, size) in logs {
                // Others have had the processor's caches since.
                _ = try log.publish()
                let rate = try log.publish()
                figures.add(size: size, of: "events in the log", microseconds: 1e6 / rate)
                if size == sizes.first { self.add(&figures, "P11 small", rate) }
                if size == sizes.last { self.add(&figures, "P11 large", rate) }
            }
        }
    }

    /// A server with one log that grows.
    private final class Log {
        let server: Dormouse
        private let publisher: Link
        private let load: Load
        private var stored = 0

        init(_ growth: Growth, _ place: Int) throws(Failure) {
            self.server = Dormouse(
                growth.options, folder: "p11-log\(place)", port: growth.options.port + UInt16(place)
            )
            try self.server.start()
            self.publisher = try self.server.connect()
            self.load = growth.load
            try self.server.makeExchange(on: self.publisher)
        }

        func publish() throws(Failure) -> Double {
            self.stored += self.load.events
            return try self.server.publish(self.load, on: self.publisher)
        }

        func fill(to size: Int) throws(Failure) {
            repeat { _ = try self.publish() } while self.stored < size
        }
    }

    // MARK: - Sizes

    /// What an event costs when there are more receivers, or when it is larger.
    private func sizes(_ figures: inout Figures) throws(Failure) {
        let server = try self.server("sizes")
        defer { server.stop() }
        let publisher = try server.connect()
        for _ in 0..<self.rounds {
            for count in [1, 10, 100, 1_000, 10_000] {
                try server.makeExchange(on: publisher)
                let awake = try self.wake(server, count) { ["none.k\($0)"] }
                let rate = try server.publish(self.load, on: publisher)
                figures.add(size: count, of: "receivers", microseconds: 1e6 / rate)
                withExtendedLifetime(awake) {}
            }
            for bytes in [10, 100, 1_000, 10_000, 100_000, 1_000_000] {
                try server.makeExchange(on: publisher)
                let batch = max(1, min(100, 100_000 / bytes))
                let events = min(self.options.events, max(20, self.options.events * 100 / bytes))
                let load = Load(
                    events: events, batch: batch,
                    window: max(batch, min(20_000, 4_000_000 / bytes)),
                    payloadBytes: bytes)
                let rate = try server.publish(load, on: publisher)
                figures.add(size: bytes, of: "payload bytes", microseconds: 1e6 / rate)
            }
        }
        try self.connections(server, publisher, &figures)
        try self.subscribers(server, &figures)
    }

    /// Connections that have said hello and do nothing.
    private func connections(
        _ server: Dormouse, _ publisher: Link, _ figures: inout Figures
    ) throws(Failure) {
        try server.makeExchange(on: publisher)
        for _ in 0..<self.rounds {
            var links: [Link] = []
            for count in [1, 10, 100, 1_000, 9_900] {
                while links.count < count { links.append(try server.connect(bufferBytes: 4_096)) }
                let rate = try server.publish(self.load, on: publisher)
                figures.add(size: count, of: "idle connections", microseconds: 1e6 / rate)
            }
        }
    }

    /// Subscribers that sleep: rows, and memory. They are made by SQL, so the server starts again for each size.
    private func subscribers(_ server: Dormouse, _ figures: inout Figures) throws(Failure) {
        _ = try self.wake(server, 1) { _ in ["none.sleeping"] }
        var made = 1
        for count in [1, 10, 100, 1_000, 10_000, 100_000] {
            try Postgres(server.conninfo).execute(
                """
                INSERT INTO dormouse.subscriber
                    (exchange_id, name, receiver_id, position, session_epoch)
                SELECT s.exchange_id, 'sleeper' || n, s.receiver_id, 0, 1
                FROM dormouse.subscriber AS s, generate_series(\(made), \(count - 1)) AS n
                WHERE s.name = 'name0'
                """)
            made = count
            server.stop()
            try server.start()
            let publisher = try server.connect()
            try server.makeExchange(on: publisher)
            _ = try server.publish(self.load, on: publisher)
            for _ in 0..<self.rounds {
                let rate = try server.publish(self.load, on: publisher)
                figures.add(size: count, of: "sleeping subscribers", microseconds: 1e6 / rate)
            }
        }
    }
}
