import Core
import Foundation
import Net
import Synchronization
import Testing

extension NetTests {
    @Suite struct EventLoopTests {
        @Test func bodiesOfManyThreadsAllRunInTheOrderOfTheirThread() throws {
            let thread = try LoopThread()
            let loop = thread.loop
            let ran = Ran()
            let done = Mailbox<Bool>()
            for number in 0..<8 {
                Thread.detachNewThread {
                    for index in 0..<10_000 {
                        loop.execute { ran.lists[number, default: []].append(index) }
                    }
                    loop.execute { done.put(loop.isOnLoopThread) }
                }
            }
            for _ in 0..<8 { #expect(try done.next()) }
            for number in 0..<8 {
                #expect(try thread.on { ran.lists[number] } == Array(0..<10_000))
            }
            try thread.stop()
        }

        @Test func anActorOnTheLoopServesTasksOfOtherThreads() async throws {
            let thread = try LoopThread()
            let counter = CountingActor(thread.loop)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        for _ in 0..<500 { await counter.add() }
                    }
                }
            }
            #expect(await counter.count == 10_000)
            #expect(await counter.strays == 0)
            try thread.stop()
        }

        @Test func aTaskMayPreferTheLoop() async throws {
            let thread = try LoopThread()
            let loop = thread.loop
            let isOnLoop = await withTaskExecutorPreference(loop) {
                await onExecutor { loop.isOnLoopThread }
            }
            #expect(isOnLoop)
            #expect(!loop.isOnLoopThread)
            #expect(loop.isIsolatingCurrentContext() == false)
            try thread.stop()
        }

        @Test func aCallbackMayEnterAnActorOfTheLoop() async throws {
            let thread = try LoopThread()
            let session = SessionActor(thread.loop)
            let listener = try thread.listen { _ in session }
            let client = try Client(port: listener.port)
            try client.send([1, 2, 3])
            #expect(try client.receive(3) == [3, 2, 1])
            client.close()
            #expect(try session.ends.next() == "end of stream")
            #expect(await session.bytes == [1, 2, 3])
            try thread.stop()
        }

        @Test func actorsThatKeepEachOtherBusyLeaveTimeForSockets() async throws {
            let thread = try LoopThread()
            let loop = thread.loop
            let listener = try thread.listen { _ in Echo() }
            let busy = Busy(loop)
            busy.again()
            let client = try Client(port: listener.port)
            for index in 0..<20 {
                try client.send(pattern(1000, from: index))
                #expect(try client.receive(1000) == pattern(1000, from: index))
            }
            let alarms = Mailbox<Bool>()
            let alarm = try thread.on {
                let alarm = Alarm(on: loop) { alarms.put(true) }
                alarm.set(at: loop.now())
                return alarm
            }
            #expect(try alarms.next())
            busy.stop()
            withExtendedLifetime(alarm) {}
            client.close()
            try thread.stop()
        }

        @Test func theEndOfATurnComesAfterItsJobsAndBeforeItsWrites() throws {
            let pair = try Pair()
            let connection = pair.connection
            let loop = pair.thread.loop
            try pair.thread.on {
                loop.onTurnEnd = {
                    loop.onTurnEnd = nil
                    connection.send([3])
                }
                connection.send([1])
                loop.execute { connection.send([2]) }
            }
            #expect(try pair.client.receive(3) == [1, 2, 3])
            try pair.end()
        }

        @Test func aStopBeforeTheRunEndsIt() throws {
            let loop = try EventLoop()
            let ran = Mailbox<Bool>()
            loop.stop()
            loop.execute { ran.put(true) }
            loop.run()
            #expect(try ran.next())
            loop.close()
            loop.close()
            loop.stop()
            loop.execute { ran.put(false) }
            #expect(ran.all.isEmpty)
        }

        @Test func closingRunsTheJobsThatAreLeft() throws {
            let loop = try EventLoop()
            let ran = Mailbox<Int>()
            loop.execute {
                ran.put(1)
                loop.execute { ran.put(2) }
            }
            loop.close()
            #expect(ran.all == [1, 2])
        }

        @Test func theClocksAreThoseOfTheSystem() throws {
            let loop = try EventLoop()
            let wall = Date.now.timeIntervalSince1970 * 1_000_000
            #expect(abs(Double(loop.wallTime().rawValue) - wall) < 5_000_000)
            let first = loop.now()
            #expect(loop.now() >= first)
            loop.close()
        }
    }
}

/// `@unchecked Sendable`: used on the loop's thread only.
private final class Ran: @unchecked Sendable {
    var lists: [Int: [Int]] = [:]
}

@concurrent private func onExecutor<Result: Sendable>(
    _ body: @Sendable () -> Result
) async -> Result { body() }

private actor CountingActor {
    private let loop: EventLoop
    private(set) var count = 0
    private(set) var strays = 0
    nonisolated var unownedExecutor: UnownedSerialExecutor { self.loop.asUnownedSerialExecutor() }
    init(_ loop: EventLoop) { self.loop = loop }
    func add() {
        self.count += 1
        if !self.loop.isOnLoopThread { self.strays += 1 }
    }
}

private actor SessionActor: ConnectionHandler {
    private let loop: EventLoop
    private(set) var bytes: [UInt8] = []
    nonisolated let ends = Mailbox<String>()
    nonisolated var unownedExecutor: UnownedSerialExecutor { self.loop.asUnownedSerialExecutor() }
    init(_ loop: EventLoop) { self.loop = loop }

    nonisolated func received(_ bytes: sending UnsafeRawBufferPointer, on connection: Connection) {
        self.assumeIsolated { session in
            session.bytes += bytes
            if session.bytes.count == 3 { connection.send(session.bytes.reversed()) }
        }
    }
    nonisolated func drained(_ connection: Connection) {}
    nonisolated func closed(_ connection: Connection, reason: String) {
        self.assumeIsolated { $0.ends.put(reason) }
    }
}

/// Always has one more job.
private final class Busy: Sendable {
    private let loop: EventLoop
    private let isStopped = Atomic(false)
    init(_ loop: EventLoop) { self.loop = loop }
    func again() {
        self.loop.execute {
            if !self.isStopped.load(ordering: .relaxed) { self.again() }
        }
    }
    func stop() { self.isStopped.store(true, ordering: .relaxed) }
}
