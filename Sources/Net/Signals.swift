package import Core
import CLibUV

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Watches signals of the process until it is closed or its loop is. For the loop's thread.
///
/// `@unchecked Sendable`: used on the loop's thread only.
package final class Signals: LoopHandle, @unchecked Sendable {
    let loop: EventLoop
    private let body: @Sendable (Int32) -> Void
    private var watchers: [UnsafeMutablePointer<uv_signal_t>] = []

    /// `body` gets the number of each signal that comes, on the loop's thread.
    package init(
        on loop: EventLoop, watching signals: [Int32] = [SIGTERM, SIGINT, SIGHUP],
        _ body: @escaping @Sendable (Int32) -> Void
    ) throws(Failure) {
        self.loop = loop
        self.body = body
        for signal in signals {
            let watcher = UnsafeMutablePointer<uv_signal_t>.allocate(capacity: 1)
            uv_signal_init(loop.uv, watcher)
            self.adopt(watcher)
            self.watchers.append(watcher)
            let code = uv_signal_start(
                watcher,
                { watcher, signal in
                    // On the loop's thread.
                    adopted(Signals.self, watcher?.pointee.data)?.body(signal)
                }, signal)
            if code != 0 {
                self.close()
                throw Failure(
                    .internal, "signal \(signal) cannot be watched", underlying: describe(code))
            }
        }
    }

    /// Stops watching. A second call does nothing.
    package func close() {
        for watcher in self.watchers {
            self.closeAdopted(watcher)
        }
        self.watchers = []
    }

    func loopCloses() { self.close() }

    func handleClosed() {
        // Nothing is left to do: `body` goes with this object.
    }
}
