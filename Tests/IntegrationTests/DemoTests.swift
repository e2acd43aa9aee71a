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
    }
}
