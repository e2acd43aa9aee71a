import Testing

@testable import Core

@Suite struct FailedAuthenticationsTests {
    private static func origin(_ number: UInt32) -> Newcomers.Origin { .network(.four(number)) }

    @Test func someAreAnsweredAndThenTwoASecond() {
        var failed = FailedAuthentications()
        let burst = (0..<30).map { _ in failed.isAnswered(Self.origin(1), at: at(0)) }
        #expect(burst.filter { $0 }.count == FailedAuthentications.burst)
        #expect(burst.prefix(FailedAuthentications.burst).allSatisfy { $0 })
        let later = (1...100).map { failed.isAnswered(Self.origin(1), at: at($0 * 100)) }
        #expect(later.filter { $0 }.count == 20)
    }

    @Test func oneOriginIsNoneOfTheOthersBusiness() {
        var failed = FailedAuthentications()
        for _ in 0..<100 { _ = failed.isAnswered(Self.origin(1), at: at(0)) }
        let others = [Self.origin(2), .unixUser(1), .unknown]
        #expect(others.map { failed.isAnswered($0, at: at(0)) } == [true, true, true])
    }

    @Test func theTableIsBounded() {
        var failed = FailedAuthentications()
        var answered = 0
        for number in 0..<10_000 as Range<UInt32>
        where failed.isAnswered(Self.origin(number), at: at(0)) {
            answered += 1
        }
        #expect(failed.origins == FailedAuthentications.originsMax)
        #expect(answered == FailedAuthentications.originsMax + FailedAuthentications.burst)
        // When those have been quiet, there is room again.
        let isAnswered = failed.isAnswered(Self.origin(20_000), at: at(60_000))
        #expect(isAnswered)
        #expect(failed.origins == 1)
    }
}
