import Core
import Engine
import Foundation
import Testing

/// Runs one seed; the same seed and plan give the same run.
func simulate(seed: UInt64, plan: Plan? = nil, isText: Bool = false) -> Report {
    Simulation(seed: seed, plan: plan, isText: isText).run()
}

private func environment(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
}

@Suite(.serialized) struct SimulationTests {
    /// `DORMOUSE_SEEDS` says how many seeds; `DORMOUSE_SEED` runs one and prints what happened.
    @Test func everySeedKeepsEveryPromise() {
        if let seed = environment("DORMOUSE_SEED") { return Self.show(seed) }
        let count = environment("DORMOUSE_SEEDS") ?? 2_000
        var sum = Statistics()
        var failures = 0
        for seed in 1...max(1, count) {
            let report = simulate(seed: seed)
            sum.add(report.statistics)
            guard let broken = report.broken else { continue }
            failures += 1
            let lines = failures <= 3 ? simulate(seed: seed, isText: true).lines.suffix(40) : []
            Issue.record(
                "seed \(seed): \(broken.invariant.rawValue): \(broken.text)\n\(lines.joined(separator: "\n"))"
            )
            if failures == 20 { break }
        }
        print("simulation: \(sum.text)")
        if count >= 500 {
            #expect(sum.missing == [], "faults that never happened")
            // Two subscribers alone make one in two hundred.
            #expect(sum.pagesReadAhead * 20 > sum.pagesRead, "two pages at once are the rule")
        }
    }

    @Test func theSameSeedGivesTheSameTrace() {
        for seed in UInt64(1)...20 {
            let first = simulate(seed: seed).hash
            #expect(simulate(seed: seed, isText: true).hash == first)
            #expect(simulate(seed: seed + 1).hash != first)
        }
    }

    private static func show(_ seed: UInt64) {
        let report = simulate(seed: seed, isText: true)
        print(report.lines.joined(separator: "\n"))
        print("simulation: \(report.statistics.text)")
        print("trace hash of seed \(seed): \(String(report.hash, radix: 16))")
        #expect(report.broken == nil, "\(report.broken?.text ?? "")")
    }
}
