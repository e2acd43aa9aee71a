/// Whether the other side is still there: after a silence it is sent a PING, and after two more of
/// the same length it is given up. Source: protocol.md, "Preface and frames".
struct Heartbeat {
    enum Action: Equatable {
        case none
        case ping
        /// After a silence of so many milliseconds.
        case giveUp(afterMilliseconds: Int)
    }

    /// Until the welcome says otherwise, the server's default.
    var milliseconds = 20_000
    /// When something was heard last, or the PING was sent: a caller that did not look for a long
    /// time still gives the other side its time to answer.
    private var since = monotonicMilliseconds()
    private var isPinged = false

    mutating func heard() {
        self.since = monotonicMilliseconds()
        self.isPinged = false
    }

    /// How long to wait before looking again.
    var quietMilliseconds: Int {
        let wait = self.milliseconds * (self.isPinged ? 2 : 1)
        return max(0, self.since + wait - monotonicMilliseconds())
    }

    mutating func look() -> Action {
        guard self.quietMilliseconds == 0 else { return .none }
        if self.isPinged { return .giveUp(afterMilliseconds: 3 * self.milliseconds) }
        self.isPinged = true
        self.since = monotonicMilliseconds()
        return .ping
    }
}
