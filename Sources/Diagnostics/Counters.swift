/// What the server did since it started: numbers that only grow. For one thread.
package struct Counters: Sendable {
    /// Each of them.
    package enum Name: Int, Hashable, Sendable, CaseIterable {
        case connectionsAccepted
        case connectionsRefused
        case receivedBytes
        /// By connections that are gone.
        case sentBytes
        case publishedBytes
        /// Events that were in the log already.
        case duplicates
        /// Publishes that were answered with a failure.
        case refusedPublishes
        case deliveredBytes
        case acknowledgements
        case commitFailures
        case replayPages
        case replayBytes
        case saves
        case saveFailures
    }

    private var numbers = [UInt64](repeating: 0, count: Name.allCases.count)

    package init() {}

    package mutating func add(_ count: Int = 1, to name: Name) {
        self.numbers[name.rawValue] &+= UInt64(max(0, count))
    }

    package subscript(name: Name) -> UInt64 { self.numbers[name.rawValue] }

    package var values: [Name: UInt64] {
        Dictionary(uniqueKeysWithValues: Name.allCases.map { ($0, self[$0]) })
    }
}
