import Core
import Diagnostics
import Dispatch
import Foundation

@testable import Net

/// Things that happened, to wait for from a test.
final class Mailbox<Item: Sendable>: Sendable {
    struct NothingCame: Error {}

    private let items = Locked<[Item]>([])
    private let count = DispatchSemaphore(value: 0)

    func put(_ item: Item) {
        self.items.withLock { $0.append(item) }
        self.count.signal()
    }

    /// The next one; the time-out only ends a test that has failed.
    func next() throws -> Item {
        guard self.count.wait(timeout: .now() + 30) == .success else { throw NothingCame() }
        return self.items.withLock { $0.removeFirst() }
    }

    var all: [Item] { self.items.withLock { $0 } }
}

/// A loop with its thread.
final class LoopThread: Sendable {
    let loop: EventLoop
    private let ended = Mailbox<Bool>()

    init() throws {
        self.loop = try EventLoop()
        let loop = self.loop
        let ended = self.ended
        Thread.detachNewThread {
            loop.run()
            loop.close()
            ended.put(true)
        }
    }

    func stop() throws {
        self.loop.stop()
        _ = try self.ended.next()
    }

    /// Runs `body` on the loop's thread and waits for it.
    @discardableResult
    func on<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
        let results = Mailbox<Swift.Result<Result, any Error>>()
        self.loop.execute { results.put(.init(catching: body)) }
        return try results.next().get()
    }

    func listen(
        _ address: String = "127.0.0.1:0", logger: Logger = quiet,
        _ accepted: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
    ) throws -> Listener {
        let address = try ListenAddress(parsing: address)
        return try self.on {
            try Listener(
                on: self.loop, at: address, logger: logger, handler: Accepting(accepted))
        }
    }
}

let quiet = Logger(threshold: .error, format: .timed) { _ in }

final class Accepting: ListenerHandler {
    private let body: @Sendable (Connection) -> (any ConnectionHandler)?
    init(_ body: @escaping @Sendable (Connection) -> (any ConnectionHandler)?) { self.body = body }
    func accepted(_ connection: Connection) -> (any ConnectionHandler)? { self.body(connection) }
}

/// Sends back what comes.
final class Echo: ConnectionHandler {
    func received(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        connection.send(copying: bytes)
    }
    func drained(_ connection: Connection) {}
    func closed(_ connection: Connection, reason: String) {}
}

/// Writes down what it is told.
final class Recorder: ConnectionHandler, @unchecked Sendable {
    enum Event: Equatable, Sendable {
        case received([UInt8])
        case drained
        case closed(String)
    }

    let events = Mailbox<Event>()

    func received(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        self.events.put(.received([UInt8](bytes)))
    }
    func drained(_ connection: Connection) { self.events.put(.drained) }
    func closed(_ connection: Connection, reason: String) { self.events.put(.closed(reason)) }

    /// Joins received pieces until there are `count` bytes.
    func bytes(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard case .received(let piece) = try self.events.next() else {
                throw Mailbox<Event>.NothingCame()
            }
            bytes += piece
        }
        return bytes
    }
}

/// A loop, a listener and one accepted connection with its client.
struct Pair {
    let thread: LoopThread
    let listener: Listener
    let connection: Connection
    let recorder: Recorder
    let client: Client

    init(receiveBytes: Int32? = nil) throws {
        let recorder = Recorder()
        let connections = Mailbox<Connection>()
        self.thread = try LoopThread()
        self.listener = try self.thread.listen { connection in
            connections.put(connection)
            return recorder
        }
        self.client = try Client(port: self.listener.port, receiveBytes: receiveBytes)
        self.connection = try connections.next()
        self.recorder = recorder
    }

    func end() throws {
        self.client.close()
        try self.thread.stop()
    }
}

/// The same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { self.state = seed }
    /// SplitMix64. Source: Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators.
    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Bytes that tell their place.
func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
        for index in 0..<count {
            let place = start + index
            buffer[index] = UInt8(truncatingIfNeeded: place ^ (place >> 8) ^ (place >> 16))
        }
        used = count
    }
}
