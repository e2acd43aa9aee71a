package import Core
package import Diagnostics
import MetricsPage

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
    package func main(_ body: (Settings, Logger, ConnectorMetrics) throws(Failure) -> Void) -> Never
    {
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
            let logger = Logger(threshold: level)
            let metrics = ConnectorMetrics(
                program: self.name, isServed: settings.has("metrics"))
            let page = try Self.page(settings, metrics, logger)
            try body(settings, logger, metrics)
            page?.stop()
            exit(0)
        } catch {
            let text = Array("\(self.name): \(error.description)\n".utf8)
            _ = text.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            exit(error.code == .invalidArgument ? 64 : 70)
        }
    }

    private static func page(
        _ settings: Settings, _ metrics: ConnectorMetrics, _ logger: Logger
    ) throws(Failure) -> MetricsPage? {
        guard let address = settings.text("metrics") else { return nil }
        let listening = try MetricsPage.listen(at: address) { path in
            switch path {
            case "/metrics":
                .init(status: 200, contentType: MetricsText.contentType, body: metrics.text())
            case "/healthz": Self.answer(metrics.unhealthy(), "alive")
            case "/readyz": Self.answer(metrics.unready(), "ready")
            case _: nil
            }
        }
        logger.info("metrics", [.address: "http://\(listening.name)/metrics"])
        return listening.page
    }

    private static func answer(_ trouble: String?, _ good: String) -> MetricsPage.Answer {
        .init(status: trouble == nil ? 200 : 503, body: (trouble ?? good) + "\n")
    }
}
