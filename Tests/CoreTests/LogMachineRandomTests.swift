import Testing

@testable import Core

@Suite struct LogMachineRandomTests {
    /// Whatever breaks and in whatever order, producers that retry as they are told lose nothing,
    /// repeat nothing, and everybody is answered once and in order.
    @Test func retryingProducersLoseNothing() throws {
        for seed in seeds(300) {
            var simulation = LogSimulation(seed: seed)
            report(try simulation.run(steps: 200), seed: seed)
        }
    }
}
