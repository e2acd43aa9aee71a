import CLibPQ
import Channels
import Core

/// What the writer is asked to do, with the caller that waits for it.
enum WriterRequest: Sendable {
    case append(Append, CheckedContinuation<AppendOutcome, Never>)
    case retake(
        ExchangeID, OwnerID, CheckedContinuation<Result<Ownership?, Failure>, Never>)

    /// One transaction; its first result tells the outcome.
    var steps: [Step] {
        switch self {
        case .append(let append, _):
            return append.steps
        case .retake(let exchange, let owner, _):
            var parameters = Parameters()
            parameters.add(exchange.rawValue)
            parameters.add(owner.rawValue)
            return [Step(statement: AppendStatements.retake, parameters: parameters)]
        }
    }

    func fail(_ failure: Failure) {
        switch self {
        case .append(_, let continuation): continuation.resume(returning: .unknown(failure))
        case .retake(_, _, let continuation): continuation.resume(returning: .failure(failure))
        }
    }

    /// The transaction ended well; this is its first result.
    func finish(_ result: PostgresResult) {
        switch self {
        case .append(_, let continuation):
            continuation.resume(returning: result.rowsCount == 0 ? .conflict : .committed)
        case .retake(_, _, let continuation):
            continuation.resume(returning: Self.ownership(result))
        }
    }

    private static func ownership(_ result: PostgresResult) -> Result<Ownership?, Failure> {
        do throws(Failure) {
            guard result.rowsCount == 1 else { return .success(nil) }
            return .success(
                Ownership(
                    epoch: OwnerEpoch(rawValue: try result.integer(0, 0)),
                    head: try result.position(0, 1)))
        } catch {
            return .failure(error)
        }
    }
}

/// The writer's thread and the way to it. Requests take effect in the order of the calls.
final class AppendWriter: Sendable {
    private struct State {
        var requests: [WriterRequest] = []
        var isClosed = false
        var underWayMost = 0
        var thread: WorkerThread?
    }

    /// Transactions that are sent before the first of them is answered. The second hides the round trip
    /// of the first, more hide that of a database far away.
    let inFlightMax: Int
    private let settings: ConnectionSettings
    private let state = Lock(State())
    /// An eventfd; -1 when the system has none left, and then nothing can be written.
    private let wakeUp: Int32

    init(_ settings: ConnectionSettings, inFlightMax: Int) {
        self.settings = settings
        self.inFlightMax = max(1, inFlightMax)
        self.wakeUp = dormouse_wakeup_open()
    }

    deinit {
        if self.wakeUp >= 0 { dormouse_wakeup_close(self.wakeUp) }
    }

    /// The most that were under way at once.
    var underWayMost: Int { self.state.withLock { $0.underWayMost } }

    func note(underWay count: Int) {
        self.state.withLock { $0.underWayMost = max($0.underWayMost, count) }
    }

    func submit(_ request: WriterRequest) {
        let isTaken = self.state.withLock { state in
            if state.isClosed || self.wakeUp < 0 { return false }
            if state.thread == nil {
                state.thread = WorkerThread(name: "log-writer") {
                    AppendLoop(settings: self.settings, writer: self, wakeUp: self.wakeUp).run()
                }
                if state.thread == nil { return false }
            }
            state.requests.append(request)
            return true
        }
        if isTaken {
            dormouse_wakeup_raise(self.wakeUp)
        } else {
            request.fail(.databaseAway("the log's writer is closed or could not be started"))
        }
    }

    /// Finishes what was submitted and ends the thread.
    func close() {
        let thread = self.state.withLock { state in
            state.isClosed = true
            return state.thread.take()
        }
        dormouse_wakeup_raise(self.wakeUp)
        thread?.join()
    }

    /// For the thread: what came since the last call, and whether more may come.
    func takeRequests() -> (requests: [WriterRequest], isClosed: Bool) {
        self.state.withLock { state in
            defer { state.requests = [] }
            return (state.requests, state.isClosed)
        }
    }
}
