import Core
import Foundation
import Net
import Testing

extension NetTests {
    @Suite struct ConnectionEndTests {
        @Test func theEndOfThePeersStreamClosesOnce() throws {
            let pair = try Pair()
            try pair.client.send([1, 2, 3])
            pair.client.close()
            #expect(try pair.recorder.bytes(3) == [1, 2, 3])
            #expect(try pair.recorder.events.next() == .closed("end of stream"))
            let connection = pair.connection
            try pair.thread.on {
                connection.close()
                connection.closeAfterFlush()
                connection.send([1])
            }
            try pair.thread.stop()
            #expect(pair.recorder.events.all.isEmpty)
        }

        @Test func halfCloseByThePeerIsAnEndToo() throws {
            let pair = try Pair()
            pair.client.finishSending()
            #expect(try pair.recorder.events.next() == .closed("end of stream"))
            #expect(try pair.client.receiveAll().isEmpty)
            try pair.end()
        }

        @Test func aResetIsReportedAsOne() throws {
            let pair = try Pair()
            pair.client.reset()
            #expect(try pair.recorder.events.next() == .closed("connection reset"))
            try pair.thread.stop()
        }

        @Test func aPeerThatLeavesInTheMiddleOfAWriteClosesTheConnection() throws {
            let pair = try Pair(receiveBytes: 16 << 10)
            let connection = pair.connection
            try pair.thread.on { connection.send(pattern(20_000_000)) }
            _ = try pair.client.receive(1000)
            pair.client.reset()
            guard case .closed = try pair.recorder.events.next() else {
                Issue.record("expected an end")
                return
            }
            #expect(try pair.thread.on { connection.queuedBytes } == 0)
            try pair.thread.stop()
        }

        @Test func closeDropsWhatIsQueued() throws {
            let pair = try Pair(receiveBytes: 16 << 10)
            let connection = pair.connection
            try pair.thread.on {
                connection.send(pattern(20_000_000))
                connection.close(reason: "too slow")
                #expect(connection.queuedBytes == 0)
                #expect(!connection.isOpen)
                connection.close(reason: "a second time")
            }
            #expect(try pair.recorder.events.next() == .closed("too slow"))
            #expect(try pair.client.receiveAll().isEmpty)
            try pair.end()
            #expect(pair.recorder.events.all.isEmpty)
        }

        @Test func closeWhileAWriteIsUnderWayDropsTheRest() throws {
            let pair = try Pair(receiveBytes: 16 << 10)
            let connection = pair.connection
            try pair.thread.on { connection.send(pattern(20_000_000)) }
            #expect(try pair.thread.on { connection.queuedBytes } > 0)
            try pair.thread.on { connection.close() }
            #expect(try pair.recorder.events.next() == .closed("closed by the server"))
            let received = try pair.client.receiveAll()
            #expect(received.count < 20_000_000)
            #expect(received == pattern(received.count))
            // What was dropped is not said to be taken.
            #expect(try pair.thread.on { connection.takenBytes } <= UInt64(received.count))
            try pair.end()
        }

        @Test func closeAfterFlushDeliversEverythingFirst() throws {
            let pair = try Pair(receiveBytes: 16 << 10)
            let connection = pair.connection
            try pair.thread.on {
                connection.send(pattern(20_000_000))
                connection.closeAfterFlush(reason: "draining")
                connection.send([1, 2, 3])
            }
            #expect(try pair.client.receiveAll() == pattern(20_000_000))
            pair.client.close()
            #expect(try pair.recorder.events.next() == .closed("draining"))
            try pair.thread.stop()
        }

        @Test func unreadInputDoesNotTakeTheLastBytesFromThePeer() throws {
            let pair = try Pair()
            let connection = pair.connection
            try pair.thread.on { connection.pauseReading() }
            try pair.client.send(pattern(50_000))
            try pair.thread.on {
                connection.send(pattern(1000))
                connection.closeAfterFlush()
            }
            try pair.client.send(pattern(50_000))
            #expect(try pair.client.receiveAll() == pattern(1000))
            pair.client.close()
            #expect(try pair.recorder.events.next() == .closed("closed by the server"))
            try pair.thread.stop()
        }

        @Test func aPeerThatStaysAfterTheFlushIsClosedAllTheSame() throws {
            let pair = try Pair()
            let connection = pair.connection
            try pair.thread.on { connection.closeAfterFlush() }
            #expect(try pair.client.receiveAll().isEmpty)
            #expect(try pair.recorder.events.next() == .closed("closed by the server"))
            try pair.end()
        }

        @Test func aHandlerMayCloseWhileItReceives() throws {
            let thread = try LoopThread()
            let reasons = Mailbox<String>()
            let listener = try thread.listen { _ in ClosesAtOnce(reasons) }
            let client = try Client(port: listener.port)
            try client.send(pattern(200_000))
            #expect(try reasons.next() == "heard enough")
            client.close()
            try thread.stop()
            #expect(reasons.all.isEmpty)
        }

        @Test func closingTheLoopTellsEveryHandler() throws {
            let pair = try Pair()
            try pair.thread.stop()
            #expect(try pair.recorder.events.next() == .closed("the server stopped"))
            #expect(try pair.client.receiveAll().isEmpty)
            pair.client.close()
        }
    }
}

private final class ClosesAtOnce: ConnectionHandler {
    private let reasons: Mailbox<String>
    private var calls = 0
    init(_ reasons: Mailbox<String>) { self.reasons = reasons }
    func received(_ bytes: UnsafeRawBufferPointer, on connection: Connection) {
        self.calls += 1
        connection.send([1])
        connection.close(reason: self.calls == 1 ? "heard enough" : "heard more")
    }
    func drained(_ connection: Connection) {}
    func closed(_ connection: Connection, reason: String) {
        self.reasons.put(self.calls == 1 ? reason : "called \(self.calls) times")
    }
}
