package import Core
package import Diagnostics

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Program {
    /// What the command line and the environment of this process say.
    package func settings() throws(Failure) -> Settings {
        try Settings(
            arguments: Array(CommandLine.arguments.dropFirst()),
            environment: processEnvironment(), flags: self.flags)
    }

    /// Reads the command line, runs `body` until it is told to end, and ends the process. Exit codes are those of
    /// sysexits(3): 64 for a wrong command line, 70 for what cannot go on.
    package func main(_ body: (Settings, Logger) throws(Failure) -> Void) -> Never {
        do throws(Failure) {
            let settings = try self.settings()
            if settings.has("help") {
                print(self.help)
                exit(0)
            }
            if settings.has("version") {
                print("\(self.name) \(Version.text)")
                exit(0)
            }
            guard let level = LogLevel(name: settings.text("log-level") ?? "info") else {
                throw Failure(
                    .invalidArgument, "--log-level: expected error, warning, info or debug")
            }
            Stop.watchSignals()
            try body(settings, Logger(threshold: level))
            exit(0)
        } catch {
            let text = Array("\(self.name): \(error.description)\n".utf8)
            _ = text.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            exit(error.code == .invalidArgument ? 64 : 70)
        }
    }
}
