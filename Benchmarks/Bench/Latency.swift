import Core
import Foundation
import Wire

/// Single events, a few of them every quarter of a millisecond, from a thread of their own. One that is late sends
/// what it has missed, and the delay counts: the time of an event is the one at which it was due.
struct Pace {
    static let tick = 0.000_25
    let perTick: Int
    let total: Int
    let begin: Double

    init(perSecond rate: Int, seconds duration: Double) {
        self.perTick = max(1, Int(Double(rate) * Self.tick))
        self.total = Int(Double(rate) * duration)
        self.begin = Bench.seconds() + 0.01
    }

    func due(_ event: Int) -> Double {
        self.begin + Double(event / self.perTick) * Self.tick
    }

    /// Starts to write the frames, one per event, to the socket.
    func start(_ frames: [[UInt8]], _ descriptor: Int32) {
        Thread.detachNewThread {
            var sent = 0
            var bytes: [UInt8] = []
            while sent < self.total {
                let pause = self.due(sent) - seconds()
                if pause > 0 { usleep(UInt32(pause * 1e6) + 1) }
                bytes.removeAll(keepingCapacity: true)
                let now = seconds()
                while sent < self.total, self.due(sent) <= now {
                    Dormouse.append(frames, sent, to: &bytes)
                    sent += 1
                }
                // Whoever reads the answers says that the connection is gone.
                guard (try? Loopback.write(bytes, to: descriptor, peer: "the server")) != nil
                else { return }
            }
        }
    }
}

extension Dormouse {
    /// Milliseconds from request to answer, one event at a time.
    func roundTrips(_ count: Int) throws(Failure) -> [Double] {
        let link = try self.connect()
        try self.makeExchange(on: link)
        let frames = try self.frames(Load(events: count, batch: 1, window: 1))
        var answers = DormouseAnswers()
        var times: [Double] = []
        for request in 0..<count {
            var bytes: [UInt8] = []
            Self.append(frames, request, to: &bytes)
            let begin = seconds()
            try link.write(bytes)
            while answers.answered <= request { try link.read(&answers) }
            times.append((seconds() - begin) * 1_000)
        }
        return times
    }

    /// Milliseconds from when an event was due to be published to its delivery.
    func latencies(perSecond rate: Int, seconds duration: Double) throws(Failure) -> [Double] {
        let links = [try self.connect(), try self.connect()]
        try self.makeExchange(on: links[0])
        let frames = try self.frames(Load(events: rate, batch: 1, window: rate))
        var answers = [DormouseAnswers(), DormouseAnswers()]
        var bytes: [UInt8] = []
        self.subscribe("latency", start: .next, to: &bytes)
        try links[1].write(bytes)
        while answers[1].streamsOpened == 0 { try links[1].read(&answers[1]) }
        var poller = Poller(links)
        var times: [Double] = []
        let pace = Pace(perSecond: rate, seconds: duration)
        pace.start(frames, links[0].descriptor)
        while times.count < pace.total {
            for index in poller.wait() { try links[index].read(&answers[index]) }
            let arrived = seconds()
            while times.count < answers[1].delivered {
                times.append((arrived - pace.due(times.count)) * 1_000)
            }
        }
        return times
    }
}
