import Core
import StoreConformance
import Testing

/// The ports' promises, kept by the store that the simulation runs on: what it shows of the engine
/// holds for Postgres, too. Its faults are switched off; its calls take their virtual time.
@Suite(.serialized) struct MemoryConformanceTests {
    /// `@unchecked Sendable`: used on the test's thread only, which runs the simulated executor.
    private final class Outcome: @unchecked Sendable {
        var result: Result<Void, any Error>?
    }

    private func check(_ promise: @escaping @Sendable (MakeStore) async throws -> Void) throws {
        let simulation = Simulation(seed: 1, plan: Plan(), isText: false)
        let outcome = Outcome()
        // Unstructured, because nothing above it is async.
        Task(executorPreference: simulation.executor) {
            do {
                try await promise {
                    let store = StoreConnection(simulation, server: 1)
                    return StoreUnderTest(log: store, state: store) { store.leave() }
                }
                outcome.result = .success(())
            } catch {
                outcome.result = .failure(error)
            }
        }
        while outcome.result == nil, simulation.executor.step() {}
        try #require(outcome.result, "it waits for something that never comes").get()
    }

    @Test func anAppendIsReadBack() throws {
        try self.check { try await Conformance.anAppendIsReadBack($0) }
    }

    @Test func anAppendElsewhereIsAConflict() throws {
        try self.check { try await Conformance.anAppendElsewhereIsAConflict($0) }
    }

    @Test func aLargeAppendElsewhereIsAConflict() throws {
        try self.check { try await Conformance.aLargeAppendElsewhereIsAConflict($0) }
    }

    @Test func aSecondOwnerFencesTheFirst() throws {
        try self.check { try await Conformance.aSecondOwnerFencesTheFirst($0) }
    }

    @Test func appendsUnderWayTakeEffectInOrder() throws {
        try self.check { try await Conformance.appendsUnderWayTakeEffectInOrder($0) }
    }

    @Test func aConflictUnderWayStopsThoseBehindIt() throws {
        try self.check { try await Conformance.aConflictUnderWayStopsThoseBehindIt($0) }
    }

    @Test func producersMoveWithTheirAppend() throws {
        try self.check { try await Conformance.producersMoveWithTheirAppend($0) }
    }

    @Test func aReadStartsInTheMiddleOfAChunk() throws {
        try self.check { try await Conformance.aReadStartsInTheMiddleOfAChunk($0) }
    }

    @Test func aPageHoldsWhatFits() throws {
        try self.check { try await Conformance.aPageHoldsWhatFits($0) }
    }

    @Test func aPageKnowsWhereTheNextOneEnds() throws {
        try self.check { try await Conformance.aPageKnowsWhereTheNextOneEnds($0) }
    }

    @Test func chunksTellTheirKeys() throws {
        try self.check { try await Conformance.chunksTellTheirKeys($0) }
    }

    @Test func timesLeadToPositions() throws {
        try self.check { try await Conformance.timesLeadToPositions($0) }
    }

    @Test func mergingKeepsEveryByte() throws {
        try self.check { try await Conformance.mergingKeepsEveryByte($0) }
    }

    @Test func retakingGivesAFinalHead() throws {
        try self.check { try await Conformance.retakingGivesAFinalHead($0) }
    }

    @Test func exchangesAreTakenInOrder() throws {
        try self.check { try await Conformance.exchangesAreTakenInOrder($0) }
    }

    @Test func whatOthersTookIsSeen() throws {
        try self.check { try await Conformance.whatOthersTookIsSeen($0) }
    }

    @Test func anIncarnationEndsOnce() throws {
        try self.check { try await Conformance.anIncarnationEndsOnce($0) }
    }

    @Test func theIncarnationStays() throws {
        try self.check { try await Conformance.theIncarnationStays($0) }
    }

    @Test func aConfigIsRegisteredOnce() throws {
        try self.check { try await Conformance.aConfigIsRegisteredOnce($0) }
    }

    @Test func subscribersAreStoredAndReplaced() throws {
        try self.check { try await Conformance.subscribersAreStoredAndReplaced($0) }
    }

    @Test func principalsAreStoredAndReplaced() throws {
        try self.check { try await Conformance.principalsAreStoredAndReplaced($0) }
    }

    @Test func namesHaveOwners() throws {
        try self.check { try await Conformance.namesHaveOwners($0) }
    }

    @Test func onlyNewerPositionsAreSaved() throws {
        try self.check { try await Conformance.onlyNewerPositionsAreSaved($0) }
    }

    @Test func tenThousandPositionsAreSavedAtOnce() throws {
        try self.check { try await Conformance.tenThousandPositionsAreSavedAtOnce($0) }
    }
}
