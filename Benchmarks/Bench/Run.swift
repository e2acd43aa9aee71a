import Core
import Foundation

/// One run: starts the systems, gives each its jobs in turn, and keeps what came out.
struct Run {
    let options: Options
    private(set) var figures = Figures()
    /// Version and flush settings of each system, and why one is not here.
    private(set) var notes: [(system: String, text: String)] = []
    private let server: Dormouse
    private var systems: [any System] = []
    private var children: [Child] = []

    init(_ options: Options) {
        self.options = options
        self.server = Dormouse(options, folder: "server", port: options.port)
    }

    mutating func all() throws(Failure) {
        if ["P1", "P2", "P3", "P4", "P5", "P6", "P7"].contains(where: self.options.wants) {
            try self.startSystems()
            try self.warmUp()
            for round in 1...self.options.rounds {
                say("round \(round) of \(self.options.rounds)")
                try self.round()
            }
            self.end()
        }
        try Growth(self.options).run(&self.figures)
        if self.options.wants("P12") { try OutboxMeasure(self.options).run(&self.figures) }
    }

    /// Ends everything that runs.
    mutating func end() {
        for child in self.children { child.kill() }
        self.children = []
        self.systems = []
        self.server.stop()
    }

    // MARK: - Systems

    private mutating func startSystems() throws(Failure) {
        try self.server.start()
        let ceiling = try Ceiling(self.server)
        let port = self.options.port + 90
        let relay = try Behind.start(self.options, self.server, port: port)
        self.children.append(relay)
        try relay.waitForPort(port)
        self.systems = [ceiling, Behind(self.server, port: port), self.server]
        self.add("RabbitMQ stream", self.options.rabbitmq, Rabbit.start) {
            options, port throws(Failure) in
            [try Rabbit(port: port)]
        }
        self.add(
            "JetStream", self.options.nats,
            { options, port throws(Failure) in
                try Nats.start(options, .stream, port: port)
            }
        ) { options, port throws(Failure) in
            [try Nats(.core, port: port), try Nats(.stream, port: port)]
        }
        self.add(
            "JetStream, fsync", self.options.nats,
            { options, port throws(Failure) in
                try Nats.start(options, .streamFlushed, port: port)
            }
        ) { options, port throws(Failure) in
            [try Nats(.streamFlushed, port: port)]
        }
        self.add("Redis stream", self.options.redis, Redis.start) { options, port throws(Failure) in
            [try Redis(isFlushed: false, port: port), try Redis(isFlushed: true, port: port)]
        }
        if self.options.pgq.isEmpty {
            self.notes.append(("PgQ", "skipped: it is not installed"))
        } else {
            do throws(Failure) {
                self.systems.append(try PgQ(self.server))
            } catch {
                self.notes.append(("PgQ", "skipped: \(error.description)"))
            }
        }
        self.notes += self.systems.map { ($0.name, $0.settings) }
        for note in self.notes { say("\(note.system): \(note.text)") }
    }

    private mutating func add(
        _ name: String, _ program: String,
        _ start: (Options, UInt16) throws(Failure) -> Child,
        _ make: (Options, UInt16) throws(Failure) -> [any System]
    ) {
        if program.isEmpty {
            self.notes.append((name, "skipped: it is not installed"))
            return
        }
        let port = self.options.port + 10 * UInt16(self.children.count)
        do throws(Failure) {
            let child = try start(self.options, port)
            self.children.append(child)
            try child.waitForPort(port)
            self.systems += try make(self.options, port)
        } catch {
            self.notes.append((name, "skipped: \(error.description)"))
        }
    }

    // MARK: - One round

    private mutating func round() throws(Failure) {
        let events = self.options.events
        for system in self.systems {
            let batches = Load(events: events, batch: 100, window: 20_000)
            let stored = system.name.hasSuffix("fsync") ? events / 50 : events
            if self.options.wants("P1") || self.options.wants("P6") || self.options.wants("P7") {
                try self.measure("P1", system, .publish(batches))
                try self.measure("P6 warm", system, .replay(events: stored))
                try self.measure("P7", system, .filteredReplay(events: stored))
            }
            if self.options.wants("P6"), system === self.server { try self.cold(events) }
            if self.options.wants("P2") {
                let singles = Load(events: events / 5, batch: 1, window: 1_000)
                try self.measure("P2", system, .publish(singles))
            }
            if self.options.wants("P5") {
                let load = Load(events: max(2_000, events / 20), batch: 100, window: 5_000)
                try self.measure("P5", system, .fanOut(load, subscribers: 100))
            }
        }
        if self.options.wants("P3") { try self.oneAtATime() }
        if self.options.wants("P4") {
            let times = try self.server.latencies(
                perSecond: 20_000, seconds: self.options.quick ? 1 : 5)
            self.addPercentiles("P4", self.server.name, times)
        }
    }

    private mutating func measure(_ measure: String, _ system: any System, _ job: Job)
        throws(Failure)
    {
        let before = system === self.server ? self.server.processorSeconds : nil
        let begin = seconds()
        guard let value = try system.run(job) else { return }
        self.figures.add(measure, system.name, value)
        say("  \(measure)  \(system.name): \(shortNumber(value))/s")
        guard let before else { return }
        // What bounds it: whoever of the two uses a whole core, or neither.
        let (after, time) = (self.server.processorSeconds, seconds() - begin)
        for (name, used) in [
            ("dormoused", after.server - before.server),
            ("its Postgres", after.postgres - before.postgres),
        ] {
            self.figures.add("\(measure) processor", name, used / time * 100, unit: "% of a core")
        }
    }

    /// The log that P1 wrote, and the rows of the ceiling, after a start of server and Postgres. The
    /// pages of both are in the kernel's cache.
    private mutating func cold(_ events: Int) throws(Failure) {
        try self.server.restart()
        try self.measure("P6 cold", self.server, .replay(events: events))
        try self.measure("P7 cold", self.server, .filteredReplay(events: events))
        for system in self.systems where system is Ceiling || system is Behind {
            try self.measure("P6 cold", system, .replay(events: events))
        }
        try self.warmUp()
    }

    /// A server that has just started gets memory from the kernel for the first time, and so does its Postgres. The other
    /// systems are not started again between rounds.
    private func warmUp() throws(Failure) {
        let load = Load(events: self.options.events, batch: 100, window: 20_000)
        for _ in 0..<2 { _ = try self.server.run(.publish(load)) }
    }

    private mutating func oneAtATime() throws(Failure) {
        let count = self.options.quick ? 500 : 2_000
        for system in self.systems {
            if let ceiling = system as? Ceiling {
                self.addPercentiles("P3", system.name, try ceiling.appends(count))
            } else if system === self.server {
                self.addPercentiles("P3", system.name, try self.server.roundTrips(count))
            }
        }
    }

    private mutating func addPercentiles(_ measure: String, _ system: String, _ times: [Double]) {
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let value = percentile(times, share)
            self.figures.add("\(measure) \(name)", system, value, unit: "ms")
            say("  \(measure) \(name)  \(system): \(shortNumber(value)) ms")
        }
    }
}
