internal import CDormouse

extension BlockingClient {
    /// Publishes events, all together and in order or none; returns after their COMMIT. Throws `timeout`
    /// when the server did not answer in time: they are still queued then, so do not publish them again
    /// with this client.
    @discardableResult
    public func publish(_ events: [Event]) throws(DormouseError) -> Published {
        let loan = Loan()
        let all = loan.events(events)
        var published = dormouse_published()
        let status = dormouse_publish(
            self.handle.pointer, all, all.count, self.answerMilliseconds, &published)
        loan.end()
        try self.handle.check(status)
        return try Published.result(published).get()
    }

    /// The 16 bytes that name the log, as of the newest welcome.
    public var incarnation: [UInt8] { Array(dormouse_incarnation(self.handle.pointer)) }
}
