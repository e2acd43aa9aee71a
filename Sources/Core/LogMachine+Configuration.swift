extension LogMachine {
    /// The limits that concern the log.
    package struct Configuration: Hashable, Sendable {
        package var pendingBytesMax: Int
        package var chunkBytesMax: Int
        package var appendBytesMax: Int
        package var appendsInFlightMax: Int
        package var gatherBytes: Int
        package var producersMax: Int
        package var publishWaitMilliseconds: Int

        package init(_ limits: Limits) {
            self.pendingBytesMax = limits.pendingBytesMax
            self.chunkBytesMax = limits.chunkBytesMax
            self.appendBytesMax = limits.appendBytesMax
            self.appendsInFlightMax = limits.appendsInFlightMax
            self.gatherBytes = limits.gatherBytes
            self.producersMax = limits.producersMax
            self.publishWaitMilliseconds = limits.publishWaitMilliseconds
        }
    }
}
