import Glibc

/// A thread of our own for work that blocks. Runs its body once.
///
/// `@unchecked Sendable`: the handle is written before `init` returns and only read afterwards.
package final class WorkerThread: @unchecked Sendable {
    private let handle: pthread_t

    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts the thread; nil when the system has none left. Its `name` (at most 15 bytes count)
    /// is what `top -H` and debuggers show.
    package init?(name: String, body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var handle = pthread_t()
        let code = pthread_create(
            &handle, nil,
            { context in
                // Runs on the new thread, which takes over the reference.
                guard let context else { return nil }
                let start = Unmanaged<Start>.fromOpaque(context).takeRetainedValue()
                WorkerThread.setName(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            return nil
        }
        self.handle = handle
    }

    /// Through /proc, since Swift's Glibc does not show `pthread_setname_np`; only a comfort, so a
    /// failure is of no interest.
    private static func setName(_ name: String) {
        let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        let bytes = Array(name.utf8.prefix(15))
        _ = write(file, bytes, bytes.count)
        _ = close(file)
    }

    package var isCurrent: Bool { pthread_equal(self.handle, pthread_self()) != 0 }

    /// Waits for the end of the body; to be called once, and from another thread.
    package func join() {
        _ = pthread_join(self.handle, nil)
    }

    /// Lets the thread clean up after itself, instead of `join`.
    package func detach() {
        _ = pthread_detach(self.handle)
    }
}
