import StoreConformance
import Testing

/// The ports' promises, kept by Postgres. Serialized: a test holds up to five of the cluster's
/// connections.
@Suite(.serialized) struct PostgresConformanceTests {
    @Test func anAppendIsReadBack() async throws {
        try await Conformance.anAppendIsReadBack(TestCluster.make)
    }

    @Test func anAppendElsewhereIsAConflict() async throws {
        try await Conformance.anAppendElsewhereIsAConflict(TestCluster.make)
    }

    @Test func aLargeAppendElsewhereIsAConflict() async throws {
        try await Conformance.aLargeAppendElsewhereIsAConflict(TestCluster.make)
    }

    @Test func aSecondOwnerFencesTheFirst() async throws {
        try await Conformance.aSecondOwnerFencesTheFirst(TestCluster.make)
    }

    @Test(arguments: [1, 2, 3, 8, 64])
    func appendsUnderWayTakeEffectInOrder(inFlightMax: Int) async throws {
        try await Conformance.appendsUnderWayTakeEffectInOrder {
            try await TestCluster.make(appendsInFlightMax: inFlightMax)
        }
    }

    @Test(arguments: [1, 2, 3, 8, 64])
    func aConflictUnderWayStopsThoseBehindIt(inFlightMax: Int) async throws {
        try await Conformance.aConflictUnderWayStopsThoseBehindIt {
            try await TestCluster.make(appendsInFlightMax: inFlightMax)
        }
    }

    @Test func producersMoveWithTheirAppend() async throws {
        try await Conformance.producersMoveWithTheirAppend(TestCluster.make)
    }

    @Test func aReadStartsInTheMiddleOfAChunk() async throws {
        try await Conformance.aReadStartsInTheMiddleOfAChunk(TestCluster.make)
    }

    @Test func aPageHoldsWhatFits() async throws {
        try await Conformance.aPageHoldsWhatFits(TestCluster.make)
    }

    @Test func aPageKnowsWhereTheNextOneEnds() async throws {
        try await Conformance.aPageKnowsWhereTheNextOneEnds(TestCluster.make)
    }

    @Test func chunksTellTheirKeys() async throws {
        try await Conformance.chunksTellTheirKeys(TestCluster.make)
    }

    @Test func timesLeadToPositions() async throws {
        try await Conformance.timesLeadToPositions(TestCluster.make)
    }

    @Test func mergingKeepsEveryByte() async throws {
        try await Conformance.mergingKeepsEveryByte(TestCluster.make)
    }

    @Test func retakingGivesAFinalHead() async throws {
        try await Conformance.retakingGivesAFinalHead(TestCluster.make)
    }

    @Test func exchangesAreTakenInOrder() async throws {
        try await Conformance.exchangesAreTakenInOrder(TestCluster.make)
    }

    @Test func whatOthersTookIsSeen() async throws {
        try await Conformance.whatOthersTookIsSeen(TestCluster.make)
    }

    @Test func anIncarnationEndsOnce() async throws {
        try await Conformance.anIncarnationEndsOnce(TestCluster.make)
    }

    @Test func theIncarnationStays() async throws {
        try await Conformance.theIncarnationStays(TestCluster.make)
    }

    @Test func aConfigIsRegisteredOnce() async throws {
        try await Conformance.aConfigIsRegisteredOnce(TestCluster.make)
    }

    @Test func subscribersAreStoredAndReplaced() async throws {
        try await Conformance.subscribersAreStoredAndReplaced(TestCluster.make)
    }

    @Test func principalsAreStoredAndReplaced() async throws {
        try await Conformance.principalsAreStoredAndReplaced(TestCluster.make)
    }

    @Test func namesHaveOwners() async throws {
        try await Conformance.namesHaveOwners(TestCluster.make)
    }

    @Test func onlyNewerPositionsAreSaved() async throws {
        try await Conformance.onlyNewerPositionsAreSaved(TestCluster.make)
    }

    @Test func tenThousandPositionsAreSavedAtOnce() async throws {
        try await Conformance.tenThousandPositionsAreSavedAtOnce(TestCluster.make)
    }
}
