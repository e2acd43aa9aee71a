import Synchronization

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Writes one line per entry, at once, from any thread.
///
/// The text says what happened and never varies; what varies goes into fields:
/// `logger.info("subscriber woke", [.subscriber: name, .position: position.rawValue])`.
/// Below the threshold neither text nor fields are evaluated.
package final class Logger: Sendable {
    /// Takes a whole line with its newline; called from the thread that logs.
    package typealias Sink = @Sendable (String) -> Void
    package typealias Fields = KeyValuePairs<LogKey, any CustomStringConvertible>

    private let format: LogFormat
    private let sink: Sink
    private let level: Atomic<UInt8>

    package init(threshold: LogLevel, format: LogFormat, sink: @escaping Sink) {
        self.format = format
        self.sink = sink
        self.level = Atomic(threshold.rawValue)
    }

    /// To standard error, in the journal's format when standard error is the journal.
    package convenience init(threshold: LogLevel = .info) {
        self.init(
            threshold: threshold, format: standardErrorIsJournal() ? .journal : .timed,
            sink: writeToStandardError)
    }

    /// The last level that is written; may change while the server runs.
    package var threshold: LogLevel {
        get { LogLevel(rawValue: self.level.load(ordering: .relaxed)) ?? .info }
        set { self.level.store(newValue.rawValue, ordering: .relaxed) }
    }

    package func error(_ text: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:])
    {
        self.log(.error, text(), fields())
    }

    package func warning(
        _ text: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]
    ) {
        self.log(.warning, text(), fields())
    }

    package func info(_ text: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:])
    {
        self.log(.info, text(), fields())
    }

    package func debug(_ text: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:])
    {
        self.log(.debug, text(), fields())
    }

    package func log(
        _ level: LogLevel, _ text: @autoclosure () -> String,
        _ fields: @autoclosure () -> Fields = [:]
    ) {
        guard level <= self.threshold else { return }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        self.sink(
            self.format.line(
                level, text(), fields(), secondsSince1970: Int(time.tv_sec),
                milliseconds: Int(time.tv_nsec) / 1_000_000))
    }
}

/// systemd names the journal's socket in `JOURNAL_STREAM` as "device:inode". A child whose standard
/// error was redirected inherits the variable, so the numbers must match. Source: systemd.exec(5).
package func standardErrorIsJournal() -> Bool {
    guard let stream = getenv("JOURNAL_STREAM") else { return false }
    var status = stat()
    guard fstat(STDERR_FILENO, &status) == 0 else { return false }
    return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
}

/// One write per line, so that lines of several threads do not mix. A log that cannot be written is
/// given up: there is nowhere left to say so.
@Sendable private func writeToStandardError(_ line: String) {
    var line = line
    line.withUTF8 { bytes in
        var rest = UnsafeRawBufferPointer(bytes)
        while !rest.isEmpty {
            let written = write(STDERR_FILENO, rest.baseAddress, rest.count)
            if written > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
            } else if errno != EINTR {
                return
            }
        }
    }
}
