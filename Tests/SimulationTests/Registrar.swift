import Core
import Wire

/// Adds principals, grants and takes away, one order after the other, and tells the checker what each principal may
/// have at most from then on.
///
/// `@unchecked Sendable`: used on the simulation's thread only.
final class Registrar: SimulatedClient, @unchecked Sendable {
    /// The unix user of a tenant; the administrator's is 0.
    static let firstUser: UInt32 = 1_000

    private static let patterns = ["#", "a.#", "*.b", "#.c", "a.*.c", "b", "a.#.b.#"]

    private var order: (stream: UInt32, revoked: [PrincipalGrant], user: UInt32)?
    private var added: Set<UInt32> = []
    /// May come back at any time.
    private var unsure: [UInt32: [PrincipalGrant]] = [:]

    override var turnMicroseconds: Int { 40_000 }

    override func calmDown() {
        super.calmDown()
        self.stop()
    }

    override func act() {
        guard self.order == nil else { return }
        let number = UInt32(self.dice.below(self.simulation.plan.tenants))
        let user = Self.firstUser + number
        let name = Array("tenant-\(number)".utf8)
        let grants = (0..<self.dice.within(1...3)).map { _ in self.grant() }
        let possible = self.simulation.checker.possibleGrants[user] ?? []
        if !self.added.contains(user) {
            self.send(
                .addPrincipal(
                    AddPrincipalRequest(
                        name: name, credential: .unixUser, subject: Array("\(user)".utf8),
                        grants: grants)), granting: grants, user: user)
        } else if self.dice.chance(500), let gone = self.dice.pick(Array(possible)) {
            self.send(
                .revokePrincipal(RevokePrincipalRequest(name: name, grants: [gone])),
                revoking: [gone], user: user)
        } else if self.dice.chance(100) {
            self.send(
                .revokePrincipal(RevokePrincipalRequest(name: name)), revoking: possible, user: user
            )
        } else {
            self.send(
                .grantPrincipal(GrantPrincipalRequest(name: name, grants: grants)),
                granting: grants, user: user)
        }
    }

    private func grant() -> PrincipalGrant {
        PrincipalGrant(
            right: .subscribe,
            exchange: Array((self.dice.chance(300) ? "*" : "main").utf8),
            pattern: Array((self.dice.pick(Self.patterns) ?? "#").utf8),
            namePrefix: Array((self.dice.chance(300) ? "s0" : "").utf8))
    }

    private func send(
        _ request: Request, granting: [PrincipalGrant] = [], revoking: [PrincipalGrant] = [],
        user: UInt32
    ) {
        // It may be in effect before we hear of it.
        for grant in granting
        where self.simulation.checker.possibleGrants[user]?.contains(grant) != true {
            self.simulation.checker.possibleGrants[user, default: []].append(grant)
        }
        let stream = self.ask(request, .administration(request.method))
        self.order = (stream, revoking, user)
        self.simulation.statistics.principalChanges += 1
    }

    override func answered(_ stream: UInt32, _ asked: Asked, _ result: Result<Reply, Failure>) {
        guard let order = self.order, order.stream == stream else { return }
        self.order = nil
        switch (asked.method, result) {
        case (.addPrincipal, .success):
            self.added.insert(order.user)
            self.simulation.checker.isClosed = true
        case (.addPrincipal, .failure(let failure)):
            // It was added by the one before, whose answer was lost.
            if failure.code == .alreadyExists { self.added.insert(order.user) }
        case (.revokePrincipal, .success(.principal(let reply))):
            let gone = order.revoked
            let unsure = self.unsure[order.user] ?? []
            self.simulation.checker.possibleGrants[order.user]?.removeAll {
                gone.contains($0) && !unsure.contains($0)
            }
            if reply.principal.isRevoked { self.added.remove(order.user) }
        case (_, .failure(let failure)):
            // Revoked by an order whose answer was lost.
            if failure.code == .notFound { self.added.remove(order.user) }
        default: break
        }
    }

    /// Whether the order was carried out, or may yet be, with all that the principal had then, nobody knows.
    override func ended() {
        guard let order = self.order else { return }
        self.unsure[order.user, default: []] +=
            self.simulation.checker.possibleGrants[order.user] ?? []
        self.order = nil
    }
}
