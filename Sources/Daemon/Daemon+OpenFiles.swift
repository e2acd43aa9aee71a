import Core
import Diagnostics

#if canImport(Darwin)
    import Darwin
    private let openFiles = RLIMIT_NOFILE
#else
    import Glibc
    private let openFiles = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
#endif

extension Daemon {
    /// For the store, which connects when it must, for listeners and for libraries: whoever connects cannot take
    /// them.
    private static let ownFiles = 64

    /// Takes as many descriptors as connections may need, of those that the system grants for the asking.
    /// Where those are too few, fewer connections are taken.
    func fitConnectionsToOpenFiles() {
        let needed = rlim_t(self.options.limits.connectionsMax + Self.ownFiles)
        var limit = rlimit()
        guard getrlimit(openFiles, &limit) == 0, limit.rlim_cur < needed else { return }
        let possible = min(needed, limit.rlim_max)
        var raised = limit
        raised.rlim_cur = possible
        if limit.rlim_cur < possible, setrlimit(openFiles, &raised) == 0 { limit = raised }
        guard limit.rlim_cur < needed else { return }
        let connections = max(1, Int(limit.rlim_cur) - Self.ownFiles)
        self.logger.warning(
            "the limit of open files leaves room for fewer connections than --connections says",
            [.limit: "\(limit.rlim_cur)", .count: "\(connections)"])
        self.options.limits.connectionsMax = connections
    }
}
