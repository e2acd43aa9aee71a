/// What one session may do. Every question is answered here; what is refused says what was granted and what to ask for.
///
/// 1. A grant of `publish` or `subscribe` is about events: an exchange, a key pattern and the names that may be used.
/// 2. A grant of `administer` is about subscribers and exchanges, and, everywhere, about principals; it shows no event.
/// 3. A subscriber's name belongs to the principal that made it. What was made when there were no principals belongs to
///    nobody: the first principal that may subscribe with this name gets it, and until then administrators look after it.
/// 4. Without any principal, and for the server's own user, everything is allowed.
package struct Permissions: Hashable, Sendable {
    /// nil: everything is allowed.
    package let principal: Name?
    package let grants: [Grant]

    package static let everything = Permissions(unlimited: ())

    private init(unlimited: Void) {
        self.principal = nil
        self.grants = []
    }

    package init(_ principal: Name, _ grants: [Grant]) {
        self.principal = principal
        self.grants = grants
    }

    package var isUnlimited: Bool { self.principal == nil }

    // MARK: Events

    /// What keys a publish may have.
    package enum KeyRule: Hashable, Sendable {
        case any
        case matching([KeyPattern])
    }

    package func publishing(as producer: Name?, in exchange: Name) throws(Failure) -> KeyRule {
        guard let principal = self.principal else { return .any }
        let found = self.grants(.publish, in: exchange, for: producer)
        guard !found.isEmpty else {
            throw self.refusal(
                principal, "publish", producer.map { "as producer '\($0)' " } ?? "", exchange,
                asking: Self.wish(.publish, exchange, "#", producer))
        }
        if found.contains(where: \.pattern.matchesEverything) { return .any }
        return .matching(found.map(\.pattern))
    }

    /// What is said of a key that the rule refuses.
    package func refusal(ofKey key: [UInt8], as producer: Name?, in exchange: Name) -> Failure {
        let key = String(decoding: key, as: UTF8.self)
        return self.refusal(
            self.principal ?? .main, "publish", "'\(key)' ", exchange,
            asking: Self.wish(.publish, exchange, key, producer))
    }

    /// Whether it may be sent what this config lets through, under this name. `owner` has the name
    /// already; nil: nobody has.
    package func subscribing(
        as name: Name?, to config: ReceiverConfig, in exchange: Name, owner: Name? = nil
    ) throws(Failure) {
        guard let principal = self.principal else { return }
        if let name { try self.own(name, owner, in: exchange) }
        let found = self.grants(.subscribe, in: exchange, for: name)
        let named = name.map { "as '\($0)' " } ?? ""
        guard !found.isEmpty else {
            throw self.refusal(
                principal, "subscribe", named, exchange,
                asking: Self.wish(.subscribe, exchange, config.indexedPatterns[0].text, name))
        }
        let cover = PatternCover(found.map(\.pattern))
        var work = Limits.coverWorkMax
        for pattern in config.indexedPatterns {
            switch cover.covers(pattern, work: &work) {
            case .covered: continue
            case .notCovered:
                throw self.refusal(
                    principal, "subscribe", "\(named)to '\(pattern)' ", exchange,
                    asking: Self.wish(.subscribe, exchange, pattern.text, name))
            case .tooHard:
                throw Failure(
                    .permissionDenied,
                    "it takes too long to find out whether '\(pattern)' is within what '\(principal)' was granted; "
                        + "subscribe to the granted patterns themselves, or to simpler ones")
            }
        }
    }

    // MARK: Names

    /// Whether it may stop, move, pause or forget this subscriber.
    package func managing(
        _ name: Name, ownedBy owner: Name?, in exchange: Name
    ) throws(Failure) {
        guard let principal = self.principal, !self.administers(name, in: exchange) else { return }
        guard !self.grants(.subscribe, in: exchange, for: name).isEmpty else {
            throw self.refusal(
                principal, "touch", "the subscriber '\(name)' ", exchange,
                asking: Self.wish(.administer, exchange, "", name))
        }
        try self.own(name, owner, in: exchange)
        // The first that subscribes with it gets it.
        if owner == nil {
            throw Failure(
                .notFound,
                "'\(principal)' has no subscriber of this name in this exchange; subscribe with it first"
            )
        }
    }

    /// A name that somebody else has is not for us.
    private func own(_ name: Name, _ owner: Name?, in exchange: Name) throws(Failure) {
        guard let owner, owner != self.principal else { return }
        throw Failure(
            .permissionDenied,
            "the subscriber '\(name)' in '\(exchange)' belongs to another principal; use another name, or have an "
                + "administrator forget it")
    }

    /// Which names of an exchange are shown.
    package enum Sight: Hashable, Sendable {
        case all
        /// Its own, and those that begin so.
        case own(Name, administered: [String])
    }

    /// Throws when nothing at all was granted in this exchange, whether it exists or not.
    package func looking(at exchange: Name) throws(Failure) -> Sight {
        guard let principal = self.principal else { return .all }
        guard self.sees(exchange) else {
            throw self.refusal(
                principal, "look", "", exchange,
                asking: Self.wish(.subscribe, exchange, "#", nil))
        }
        let administered = self.grants.filter { $0.right == .administer && $0.isFor(exchange) }
            .map(\.namePrefix)
        return administered.contains("") ? .all : .own(principal, administered: administered)
    }

    /// Whether anything in it was granted.
    package func sees(_ exchange: Name) -> Bool {
        self.isUnlimited || self.grants.contains { $0.isFor(exchange) }
    }

    // MARK: The server

    /// Principals and the whole server.
    package var administersEverything: Bool {
        self.isUnlimited
            || self.grants.contains {
                $0.right == .administer && $0.exchange == nil && $0.namePrefix.isEmpty
            }
    }

    package func administeringEverything() throws(Failure) {
        guard let principal = self.principal, !self.administersEverything else { return }
        throw Failure(
            .permissionDenied,
            "'\(principal)' does not administer this server; an administrator can allow it: "
                + "dormouse principals grant \(principal) administer --everywhere")
    }

    package func creating(_ exchange: Name) throws(Failure) {
        guard let principal = self.principal,
            !self.grants.contains(where: {
                $0.right == .administer && $0.isFor(exchange) && $0.namePrefix.isEmpty
            })
        else { return }
        throw self.refusal(
            principal, "create exchanges", "", exchange,
            asking: Self.wish(.administer, exchange, "", nil))
    }

    // MARK: Helpers

    private func administers(_ name: Name, in exchange: Name) -> Bool {
        !self.grants(.administer, in: exchange, for: name).isEmpty
    }

    private func grants(_ right: Right, in exchange: Name, for name: Name?) -> [Grant] {
        self.grants.filter { $0.right == right && $0.isFor(exchange) && $0.allows(name) }
    }

    /// More of them would make the text longer than anybody reads.
    private static let grantsShown = 4

    private func refusal(
        _ principal: Name, _ verb: String, _ what: String, _ exchange: Name, asking wish: String
    ) -> Failure {
        let here = self.grants.filter { $0.isFor(exchange) }
        var shown = here.prefix(Self.grantsShown).map(\.description).joined(separator: "; ")
        if here.count > Self.grantsShown { shown += "; and \(here.count - Self.grantsShown) more" }
        return Failure(
            .permissionDenied,
            "'\(principal)' may not \(verb) \(what)in '\(exchange)'; it was granted there: "
                + (here.isEmpty ? "nothing" : shown)
                + ". An administrator can allow it: dormouse principals grant \(principal) \(wish)")
    }

    /// The end of the command line that would grant it.
    private static func wish(
        _ right: Right, _ exchange: Name, _ pattern: String, _ name: Name?
    ) -> String {
        right.name + " --exchange \(exchange)" + (pattern.isEmpty ? "" : " --pattern '\(pattern)'")
            + (name.map { " --names \($0)" } ?? "")
    }
}
