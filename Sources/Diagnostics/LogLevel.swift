/// How much an entry matters. Ordered: `error` is the least that is ever logged.
package enum LogLevel: UInt8, Hashable, Comparable, Sendable, CaseIterable {
    /// Somebody must act.
    case error = 0
    /// Something is wrong, the server helps itself.
    case warning = 1
    /// The life of the server: started, taken, drained.
    case info = 2
    /// The life of each connection.
    case debug = 3

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// The name in configuration: `error`, `warning`, `info`, `debug`.
    package init?(name: String) {
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }

    package var name: String {
        switch self {
        case .error: "error"
        case .warning: "warning"
        case .info: "info"
        case .debug: "debug"
        }
    }

    /// Padded to one width, so that lines align.
    var label: String {
        switch self {
        case .error: "ERROR"
        case .warning: "WARN "
        case .info: "INFO "
        case .debug: "DEBUG"
        }
    }

    /// The number that syslog and the journal know. Source: syslog(3).
    var syslogPriority: Int {
        switch self {
        case .error: 3
        case .warning: 4
        case .info: 6
        case .debug: 7
        }
    }
}
