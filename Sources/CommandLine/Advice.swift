import Core

// What a failed command says: what was wrong, and what to do about it. Messages of the server and of this
// program have both, with a semicolon between; where the second part is missing, the code knows.

extension CommandFailure {
    /// What was wrong, and what to do.
    var parts: (problem: String, advice: String) {
        if !self.advice.isEmpty { return (self.message, self.advice) }
        guard let end = self.message.firstRange(of: "; ") else {
            return (self.message, self.code?.advice ?? self.exit.advice)
        }
        return (
            String(self.message[..<end.lowerBound]), String(self.message[end.upperBound...])
        )
    }

    /// In this program's words, instead of the server's.
    mutating func advise(_ advice: String) {
        self.message = self.parts.problem
        self.advice = advice
    }

    /// Adds to what was wrong.
    mutating func note(_ text: String) {
        let (problem, advice) = self.parts
        self.message = "\(problem) (\(text))"
        self.advice = advice
    }

    /// For people.
    var line: String {
        let (problem, advice) = self.parts
        return "dormouse: " + Text.printable("\(problem); \(advice)")
            + (self.code.map { " [\($0.name)]" } ?? "")
    }

    /// For programs. `goesOn`: it is no end, the command tries again by itself.
    func json(goesOn: Bool = false) -> String {
        let (problem, advice) = self.parts
        return "{\"code\":\"\(self.code?.name ?? self.exit.name)\","
            + "\"exit\":\(goesOn ? "null" : "\(self.exit.rawValue)"),"
            + "\"message\":\(JSONText.quoted(problem)),\"advice\":\(JSONText.quoted(advice))}"
    }

    /// On standard error. Nothing, when there is nothing to say.
    func tell(asJSON: Bool, goesOn: Bool = false) {
        guard !self.message.isEmpty else { return }
        Output.tell(Text.withoutTokens(asJSON ? self.json(goesOn: goesOn) : self.line))
    }
}

extension StatusCode {
    /// What to do about it when nobody has said.
    fileprivate var advice: String {
        switch self {
        case .ok: "go on"
        case .cancelled, .aborted: "run it again"
        case .invalidArgument: "--help says what is expected"
        case .deadlineExceeded:
            "run it again, with a longer --timeout where the server has much to do"
        case .notFound:
            "'dormouse subscriptions list' and 'dormouse exchanges list' show what there is"
        case .alreadyExists: "choose another name"
        case .permissionDenied: "ask whoever looks after the server to permit it"
        case .resourceExhausted: "run it again when the server has less to do"
        case .failedPrecondition: "change what stands in the way, and run it again"
        case .outOfRange: "'dormouse exchanges list' shows the positions that there are"
        case .unimplemented: "the server is older than this program, start a newer one"
        case .internal: "the server's log may say more; please report it"
        case .unavailable, .draining:
            "run it again in a while; 'dormouse server' says how the server is"
        case .unauthenticated: "use an address with a token, see 'dormouse context add --help'"
        case .stopped: "somebody stopped it by name; run it again to go on"
        case .takenOver:
            "a name has one consumer at a time; use another name, or stop the other one"
        case .positionLost:
            "run it again to go on where the name is; where that is gone, too, give --from first "
                + "--reposition"
        case .frameTooLarge: "make it smaller, or start the server with a larger --frame-bytes"
        case .tooSlow: "run it again; what was not confirmed comes again"
        case .paused: "'dormouse subscriptions resume' ends a pause"
        }
    }
}

extension ExitCode {
    /// In JSON, where no code of the protocol says it.
    fileprivate var name: String {
        switch self {
        case .success: "OK"
        case .failure: "REFUSED"
        case .critical: "CRITICAL"
        case .unknown: "UNKNOWN"
        case .usage: "USAGE"
        case .data: "BAD_INPUT"
        case .noInput: "NO_INPUT"
        case .unavailable: "UNAVAILABLE"
        case .internal: "INTERNAL"
        case .exists: "ALREADY_EXISTS"
        case .io: "INPUT_OUTPUT"
        case .temporary: "TEMPORARY"
        case .permission: "PERMISSION_DENIED"
        case .configuration: "CONFIGURATION"
        case .interrupted: "INTERRUPTED"
        case .terminated: "TERMINATED"
        }
    }

    fileprivate var advice: String {
        switch self {
        case .usage: "--help says what is expected"
        case .data: "correct the input"
        case .noInput, .io: "look at the path, and at what you may"
        case .exists: "choose another name"
        case .configuration: "correct it"
        case .permission: "ask whoever looks after the server to permit it"
        case .success, .failure, .critical, .unknown, .unavailable, .temporary, .interrupted,
            .terminated:
            "run it again"
        case .internal: "please report it"
        }
    }
}
