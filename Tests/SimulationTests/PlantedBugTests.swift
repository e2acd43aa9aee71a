import Core
import Engine
import Testing

/// The simulation bites: bugs that are planted are found, by the promise that they break.
@Suite(.serialized) struct PlantedBugTests {
    /// Each of these is broken by most seeds; so many must do.
    private static let seedsMax: UInt64 = 60

    private func found(_ change: (inout Plan) -> Void) -> [Invariant] {
        var found: [Invariant] = []
        for seed in 1...Self.seedsMax {
            var plan = Plan(Dice(seed: seed))
            change(&plan)
            if let broken = simulate(seed: seed, plan: plan).broken {
                found.append(broken.invariant)
            }
            if found.count == 5 { break }
        }
        return found
    }

    @Test func deliveryBeforeTheCommitIsFound() {
        let found = self.found { $0.planted = .deliveryBeforeCommit }
        #expect(found.contains(.durableBeforeVisible) || found.contains(.acknowledgedIsStored))
    }

    @Test func aSeamThatIsOffByOneIsFound() {
        #expect(self.found { $0.planted = .seamOffByOne }.contains(.matching))
    }

    @Test func aPositionBeyondWhatWasSentIsFound() {
        #expect(self.found { $0.planted = .positionBeyondSent }.contains(.positionBound))
    }

    @Test func aConfirmationBeforeTheSocketTookItIsFound() {
        let found = self.found { plan in
            plan.planted = .confirmedBeforeTaken
            plan.limits.saveMilliseconds = 1
        }
        // A position too far is stored, or the next consumer starts there.
        #expect(found.contains(.positionBound) || found.contains(.start))
        #expect(found.count > 1)
    }

    @Test func aRetryWithoutSequenceIsFound() {
        let found = self.found { plan in
            plan.retriesWithoutSequence = true
            plan.faults.lostReply = 200
            plan.losses = 40
        }
        #expect(found.contains(.producerSequence))
    }

    /// Without any bug the same plans find nothing.
    @Test func withoutABugNothingIsFound() {
        #expect(self.found { _ in }.isEmpty)
    }
}
