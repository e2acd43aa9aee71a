package import Core

/// The output of a method, when it did not fail. The server encodes it, clients decode it. A
/// subscribe has none: it is answered by a stream of `Delivery`.
package enum Reply: Hashable, Sendable {
    case hello(Welcome)
    case publish(PublishReply)
    case producer(ProducerReply)
    case acknowledge(AcknowledgeReply)
    case grant(GrantReply)
    case stop(StopReply)
    case fetch(Delivery)
    case seek(SeekReply)
    case pause(PauseReply)
    case forget(ForgetReply)
    case restored(RestoredReply)
    case list(ListReply)
    case listReceivers(ListReceiversReply)
    case exchanges(ExchangesReply)
    case createExchange(ExchangeInfo)
    case server(ServerReply)
    case listOutbox(ListOutboxReply)
    case changeOutbox(ChangeOutboxReply)
    /// Of adding, granting, revoking and rotating.
    case principal(PrincipalReply)
    case listPrincipals(ListPrincipalsReply)
    case listConnections(ListConnectionsReply)
}

extension Reply {
    /// What a reply may be decoded into. Listings consist of many small messages with many
    /// fields, each of which protobuf-c makes some 300 bytes of; a client must be able to read
    /// whatever its server sends.
    static let arenaBudget = Arena.Budget(memory: 32, piece: 2)

    /// Appends the payload of a RESPONSE with status OK.
    package func encode(into bytes: inout [UInt8]) {
        switch self {
        case .hello(let message): message.encode(into: &bytes)
        case .publish(let message): message.encode(into: &bytes)
        case .producer(let message): message.encode(into: &bytes)
        case .acknowledge(let message): message.encode(into: &bytes)
        case .grant(let message): message.encode(into: &bytes)
        case .stop(let message): message.encode(into: &bytes)
        case .fetch(let message): message.encode(into: &bytes)
        case .seek(let message): message.encode(into: &bytes)
        case .pause(let message): message.encode(into: &bytes)
        case .forget(let message): message.encode(into: &bytes)
        case .restored(let message): message.encode(into: &bytes)
        case .list(let message): message.encode(into: &bytes)
        case .listReceivers(let message): message.encode(into: &bytes)
        case .exchanges(let message): message.encode(into: &bytes)
        case .createExchange(let message): message.encode(into: &bytes)
        case .server(let message): message.encode(into: &bytes)
        case .listOutbox(let message): message.encode(into: &bytes)
        case .changeOutbox(let message): message.encode(into: &bytes)
        case .principal(let message): message.encode(into: &bytes)
        case .listPrincipals(let message): message.encode(into: &bytes)
        case .listConnections(let message): message.encode(into: &bytes)
        }
    }

    /// Decodes the payload of a RESPONSE with status OK to a request of `method`. Throws
    /// `invalidArgument` for bytes that are not the method's output.
    package static func decode(
        method: Method, payload: UnsafeRawBufferPointer, arena: Arena
    ) throws(Failure) -> Reply {
        let budget = Self.arenaBudget
        switch method {
        case .hello:
            return .hello(try Welcome.decode(payload, budget: budget, arena: arena))
        case .publish:
            return .publish(try PublishReply.decode(payload, budget: budget, arena: arena))
        case .producer:
            return .producer(try ProducerReply.decode(payload, budget: budget, arena: arena))
        case .subscribe:
            throw Failure(
                .invalidArgument,
                "a Subscribe was answered by a RESPONSE; expected DATA and END")
        case .acknowledge:
            return .acknowledge(try AcknowledgeReply.decode(payload, budget: budget, arena: arena))
        case .grant:
            return .grant(try GrantReply.decode(payload, budget: budget, arena: arena))
        case .stop:
            return .stop(try StopReply.decode(payload, budget: budget, arena: arena))
        case .fetch:
            return .fetch(try Delivery.decode(payload))
        case .seek:
            return .seek(try SeekReply.decode(payload, budget: budget, arena: arena))
        case .pause:
            return .pause(try PauseReply.decode(payload, budget: budget, arena: arena))
        case .forget:
            return .forget(try ForgetReply.decode(payload, budget: budget, arena: arena))
        case .restored:
            return .restored(try RestoredReply.decode(payload, budget: budget, arena: arena))
        case .list:
            return .list(try ListReply.decode(payload, budget: budget, arena: arena))
        case .listReceivers:
            return .listReceivers(
                try ListReceiversReply.decode(payload, budget: budget, arena: arena))
        case .exchanges:
            return .exchanges(try ExchangesReply.decode(payload, budget: budget, arena: arena))
        case .createExchange:
            return .createExchange(try ExchangeInfo.decode(payload, budget: budget, arena: arena))
        case .server:
            return .server(try ServerReply.decode(payload, budget: budget, arena: arena))
        case .listOutbox:
            return .listOutbox(try ListOutboxReply.decode(payload, budget: budget, arena: arena))
        case .changeOutbox:
            return .changeOutbox(
                try ChangeOutboxReply.decode(payload, budget: budget, arena: arena))
        case .addPrincipal, .grantPrincipal, .revokePrincipal, .rotatePrincipal:
            return .principal(try PrincipalReply.decode(payload, budget: budget, arena: arena))
        case .listPrincipals:
            return .listPrincipals(
                try ListPrincipalsReply.decode(payload, budget: budget, arena: arena))
        case .listConnections:
            return .listConnections(
                try ListConnectionsReply.decode(payload, budget: budget, arena: arena))
        }
    }
}
