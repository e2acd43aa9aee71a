import Core
import Foundation
import PlainClient
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// What Prometheus and health checks are shown.
    @Suite(.serialized)
    struct MetricsTests {
        private static let flags = ["--metrics", "127.0.0.1:0"]

        private static func samples(_ page: String) throws -> Samples {
            try Samples(Page.get(page, "/metrics").body)
        }

        @Test func numbersAreThoseOfWhatHappened() throws {
            try withServer(Self.flags) { server, _ in
                let page = try Page.base(of: server.child)
                let client = try TestClient(server.address())
                for number in 1...10 { try client.publish("a", "\(number)", "again") }
                let stream = try client.subscribe("reader", from: .first)
                _ = try client.events(20, on: stream)
                try client.acknowledge(15, on: stream)
                try client.subscribe("waiting", from: .first)
                try client.publish([Event("a", "1")], producer: "p", sequence: 1)
                try client.publish([Event("a", "1")], producer: "p", sequence: 1)
                client.exchange = "nowhere"
                _ = try client.failure(client.publishRequest([Event("a", "1")]))
                let shown = try Page.get(page, "/metrics")
                #expect(
                    shown.status == 200
                        && shown.contentType == "text/plain; version=0.0.4; charset=utf-8")
                let samples = try Samples(shown.body)
                #expect(samples["dormouse_events_published_total"] == 21)
                #expect(samples["dormouse_publish_duplicates_total"] == 1)
                #expect(samples["dormouse_publishes_refused_total"] == 1)
                #expect(samples["dormouse_commit_seconds_count"] == 11)
                #expect(samples["dormouse_commit_seconds_bucket{le=\"+Inf\"}"] == 11)
                #expect((samples["dormouse_commit_seconds_sum"] ?? 0) > 0)
                #expect(samples["dormouse_exchange_head{exchange=\"main\"}"] == 21)
                #expect(samples["dormouse_acknowledgements_total"] == 1)
                #expect(samples["dormouse_connections"] == 1)
                #expect((samples["dormouse_received_bytes_total"] ?? 0) > 100)
                #expect((samples["dormouse_sent_bytes_total"] ?? 0) > 100)
                #expect((samples["dormouse_events_delivered_total"] ?? 0) >= 41)
                #expect(samples["dormouse_ready"] == 1 && samples["dormouse_store_available"] == 1)
                #expect((samples["process_resident_memory_bytes"] ?? 0) > 1_000_000)
                #expect(
                    (samples["process_open_fds"] ?? 0) > 5 && (samples["process_threads"] ?? 0) > 3)
                let reader = "{exchange=\"main\",subscription=\"reader\"}"
                #expect(samples["dormouse_subscription_lag\(reader)"] == 6)
                #expect((samples["dormouse_subscription_age_seconds\(reader)"] ?? -1) > 0)
                #expect(samples["dormouse_subscription_awake\(reader)"] == 1)
                #expect(
                    samples[
                        "dormouse_subscription_lag{exchange=\"main\",subscription=\"waiting\"}"
                    ]
                        == 21)
                #expect(
                    samples["dormouse_exchange_subscriptions{exchange=\"main\",state=\"awake\"}"]
                        == 2)
            }
        }

        /// Those with the largest lag are shown, the others counted.
        @Test func subscriptionsAreShownUpToTheLimit() throws {
            try withServer(Self.flags + ["--metrics-subscriptions", "3"]) { server, _ in
                let page = try Page.base(of: server.child)
                let client = try TestClient(server.address())
                for number in 1...10 {
                    try client.publish("a", "x")
                    try client.subscribe("s\(number)", from: .next)
                }
                let samples = try Self.samples(page)
                let shown = samples.values.keys.filter { $0.hasPrefix("dormouse_subscription_lag") }
                #expect(
                    Set(shown)
                        == Set(
                            (1...3).map {
                                "dormouse_subscription_lag{exchange=\"main\",subscription=\"s\($0)\"}"
                            }))
                #expect(samples["dormouse_subscriptions_omitted"] == 7)
            }
        }

        /// The age of what only the log holds is looked up, and told when it is known.
        @Test func theAgeIsKnownAlsoForOldEvents() throws {
            let database = try Cluster.shared().makeDatabase()
            let first = try Server(on: database)
            let client = try TestClient(first.address())
            try client.subscribe("old", from: .first)
            try client.publish("a", "1", "2")
            client.close()
            #expect(try first.stop() == .exit(0))
            first.destroy()
            let second = try Server(on: database, Self.flags + ["--tail-bytes", "0"])
            defer { second.destroy() }
            let page = try Page.base(of: second.child)
            let name = "dormouse_subscription_age_seconds{exchange=\"main\",subscription=\"old\"}"
            let age = try eventually("the age is known") { try Self.samples(page)[name] }
            #expect(age > 0)
            #expect(
                try Self.samples(page)[
                    "dormouse_subscription_awake{exchange=\"main\",subscription=\"old\"}"]
                    == 0)
        }

        @Test func scrapesUnderLoadGrowAndHoldNobodyUp() throws {
            try withServer(Self.flags) { server, _ in
                let page = try Page.base(of: server.child)
                let load = Load()
                defer { load.stop() }
                let address = try server.address()
                let publisher = LoadPublisher(name: "p", address: address, load: load).start()
                try eventually("events flow") {
                    try publisher.check()
                    return (try Self.samples(page)["dormouse_events_published_total"] ?? 0) > 0
                }
                let scrapers = (1...4).map { number in
                    Worker("scraper \(number)") { () -> Double in
                        var last = 0.0
                        for _ in 1...50 {
                            let samples = try Self.samples(page)
                            let now = samples["dormouse_events_published_total"] ?? -1
                            guard now >= last else { throw Problem("\(now) after \(last)") }
                            last = now
                        }
                        return last
                    }
                }
                for scraper in scrapers { #expect(try scraper.join() > 0) }
                load.stop()
                let summary = try publisher.join()
                #expect(summary.failures == 0 && summary.acknowledged > 0)
                let samples = try Self.samples(page)
                #expect(samples["dormouse_events_published_total"] == Double(summary.acknowledged))
            }
        }

        @Test func whatIsNotThereIsSaid() throws {
            try withServer(Self.flags) { server, _ in
                let page = try Page.base(of: server.child)
                #expect(try Page.get(page, "/healthz").status == 200)
                // It says where it listens a moment before.
                try eventually("it is ready") { try Page.get(page, "/readyz").body == "ready\n" }
                #expect(try Page.get(page, "/").status == 404)
                #expect(try Page.get(page, "/metrics", method: "DELETE").status == 405)
                #expect(try Page.get(page, "/metrics", method: "HEAD").body == "")
                // A page that a stranger keeps waiting costs a few connections and nothing else.
                let port = page.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
                let strangers = try (1...20).map { _ in try Sockets.connect(port: port) }
                defer { for stranger in strangers { close(stranger) } }
                _ = try TestClient(server.address()).publish("a", "1")
            }
        }

        @Test func anAddressThatOthersReachIsRefused() throws {
            let server = try Server(starting: ["--metrics", "0.0.0.0:0"])
            defer { server.destroy() }
            #expect(try server.child.wait() == .exit(64))
            #expect(server.child.errors.contains("--metrics 0.0.0.0:0 is reachable from elsewhere"))
        }

        @Test func aServerThatCannotServeSaysWhy() throws {
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let database = try cluster.makeDatabase()
            try cluster.stop("fast")
            let server = try Server(starting: ["--database", database.conninfo] + Self.flags)
            defer { server.destroy() }
            let page = try Page.base(of: server.child)
            try eventually("it is not ready and says why") {
                let answer = try Page.get(page, "/readyz")
                return answer.status == 503 && answer.body.contains("the database is not there")
            }
            #expect(try Page.get(page, "/healthz").status == 200)
            let early = try eventually("a page of the process") { () -> Samples? in
                let answer = try Page.get(page, "/metrics")
                return answer.status == 200 ? try Samples(answer.body) : nil
            }
            #expect(early["dormouse_ready"] == 0 && early["dormouse_connections"] == nil)
            try cluster.start()
            try eventually("it is ready") { try Page.get(page, "/readyz").status == 200 }
            let client = try TestClient(server.address())
            try client.publish("a", "1")
            try cluster.stop("immediate")
            let request = try client.publishRequest([Event("a", "2")])
            _ = try client.client.sendRequest(request)
            try eventually("it is not ready any more") {
                let answer = try Page.get(page, "/readyz")
                return answer.status == 503 && answer.body.contains("database")
            }
            #expect(try Self.samples(page)["dormouse_store_available"] == 0)
        }

        /// The loop hangs in a log that nobody reads; the page still says so.
        @Test func aLoopThatStandsStillIsNotHealthy() throws {
            let database = try Cluster.shared().makeDatabase()
            let manager = try ServiceManager()
            defer { manager.destroy() }
            let log = Pipe()
            _ = fcntl(log.fileHandleForWriting.fileDescriptor, 1031, 4096)
            let child = try manager.start(
                ["DORMOUSE_DATABASE": database.conninfo],
                flags: Self.flags + ["--log-level", "debug"],
                errors: log.fileHandleForWriting.fileDescriptor)
            try manager.waitUntilReady()
            let page = try Page.base(of: child)
            #expect(try Page.get(page, "/healthz").status == 200)
            // More than the pipe takes; not so many that the socket's queue is full.
            for _ in 1...500 { _ = Sockets.knock(manager.uris[1]) }
            try eventually("it is not healthy", seconds: 60) {
                let answer = try Page.get(page, "/healthz")
                return answer.status == 503 && answer.body.contains("event loop has not turned")
            }
            #expect(try Page.get(page, "/metrics").status == 503)
        }

        /// promtool's own rules, and ours: base units, one sentence of help each.
        @Test func prometheusItselfFindsNothingWrong() throws {
            try withServer(Self.flags) { server, _ in
                let page = try Page.base(of: server.child)
                let client = try TestClient(server.address())
                try client.publish("a", "1")
                try client.subscribe("s", from: .first)
                let body = try Page.get(page, "/metrics").body
                let root = URL(fileURLWithPath: UnitFile.folder).deletingLastPathComponent().path
                let promtool = try Command.check(["\(root)/scripts/promtool.sh"], seconds: 600)
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                let verdict = try Command.run([promtool, "check", "metrics"], input: body)
                #expect(verdict.end == .exit(0), "\(verdict.output)\(verdict.errors)")
                #expect(verdict.output + verdict.errors == "")
                for metric in try Samples(body).metrics {
                    #expect(metric.help.hasSuffix("."), "\(metric.name): \(metric.help)")
                }
            }
        }

        /// docs/operating.md has a line for each metric, in the page's order, with its kind and labels.
        @Test func theManualListsWhatIsServed() throws {
            try withServer(Self.flags) { server, _ in
                let page = try Page.base(of: server.child)
                let client = try TestClient(server.address())
                try client.publish("a", "1")
                try client.subscribe("s", from: .first)
                let samples = try Self.samples(page)
                let served = samples.metrics.map { "\($0.name) \($0.kind)" }
                let documented = OperatingManual.rows(after: "## Metrics").map {
                    "\($0[0]) \($0[1])"
                }
                #expect(documented == served)
            }
        }

        /// docs/operating.md has a line for each limit that has a flag, with its default.
        @Test func theManualListsEveryLimit() throws {
            let help = try Command.check(["\(Server.binaries)/dormoused", "--help"])
            var limits: [String] = []
            var name = ""
            for line in help.split(separator: "\n") {
                if line.hasPrefix("  --") { name = String(line.dropFirst(4).prefix { $0 != " " }) }
                guard let begin = line.range(of: "(default "), line.hasSuffix(")") else { continue }
                let value = line[begin.upperBound...].dropLast()
                if Int(value) != nil { limits.append("--\(name) \(value)") }
            }
            #expect(limits.count > 30)
            let documented = OperatingManual.rows(after: "## Limits").map { "\($0[0]) \($0[1])" }
            #expect(documented == limits)
        }

        @Test func theManualPageListsEveryFlag() throws {
            let root = URL(fileURLWithPath: UnitFile.folder).deletingLastPathComponent().path
            let help = try Command.check(["\(Server.binaries)/dormoused", "--help"])
            let made = try Command.run(["\(root)/scripts/manual-server.sh"], input: help)
            #expect(made.end == .exit(0))
            #expect(
                made.output == Folder.text("\(root)/docs/man/dormoused.8"),
                "docs/man/dormoused.8 is not current: run 'make manual' and commit it")
            let lint = try Command.run([
                "/usr/bin/mandoc", "-Tlint", "-Wwarning", "\(root)/docs/man/dormoused.8",
            ])
            #expect(lint.output == "")
        }
    }
}

/// Tables of docs/operating.md.
enum OperatingManual {
    /// The cells of the rows of the first table after this line, without their backquotes.
    static func rows(of file: String = "docs/operating.md", after heading: String) -> [[String]] {
        let folder = URL(fileURLWithPath: UnitFile.folder).deletingLastPathComponent()
        let text = Folder.text(folder.appendingPathComponent(file).path)
        guard let begin = text.range(of: "\n\(heading)\n") else { return [] }
        let lines = text[begin.upperBound...].components(separatedBy: "\n")
            .drop { !$0.hasPrefix("|") }.prefix { $0.hasPrefix("|") }
        return lines.dropFirst(2).map { line in
            line.split(separator: "|").map {
                $0.trimmingCharacters(in: .whitespaces).replacingOccurrences(of: "`", with: "")
            }
        }
    }
}
