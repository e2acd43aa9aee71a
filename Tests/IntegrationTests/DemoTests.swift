import DormouseClient
import Foundation
import Testing

extension Integration {
    /// The stories that `make demo-shop` and `make demo-market` tell.
    @Suite(.serialized)
    struct DemoTests {
        @Test(arguments: ["Shop", "Market"])
        func eachStoryIsToldInLessThanAMinute(application: String) throws {
            let begun = ContinuousClock.now
            let outcome = try Command.run(
                ["\(Server.repository)/Examples/\(application)/demo.sh"],
                environment: ["DORMOUSE_BIN_DIR": Server.binaries], seconds: 120)
            #expect(outcome.end == .exit(0), "\(outcome.output.suffix(500))\(outcome.errors)")
            #expect(ContinuousClock.now - begun < .seconds(60))
            let chapters = (1...9).filter { outcome.output.contains("[1m\($0). ") }
            #expect(chapters == Array(1...6), "\(outcome.output)")
            #expect(outcome.output.contains("Done in "))
        }

        @Test func theExampleOfTheManualIsAProgramThatRuns() throws {
            let manual = Folder.text("\(Server.repository)/docs/workers.md")
            let example = Folder.text("\(Server.repository)/Examples/Visits/main.swift")
            #expect(!example.isEmpty && manual.contains("```swift\n\(example)```\n"))
            let server = try FragileServer()
            let database = try Cluster.shared().makeDatabase()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            for round in 1...2 {
                let visits = try Child(
                    ["\(Server.binaries)/visits", server.uri, database.conninfo], in: folder,
                    label: "visits-\(round)")
                defer { visits.destroy() }
                try BlockingClient(server.uri).publish(
                    ["/index", "/help", "/index"].map { Event(key: "visit.shop", $0) })
                try eventually("they are counted, each once") {
                    guard visits.isRunning else { throw Problem(visits.errors) }
                    let sql = "SELECT page, count FROM visits.visit ORDER BY page"
                    return (try? database.query(sql)) == "/help|\(round)\n/index|\(round * 2)"
                }
            }
        }
    }
}
