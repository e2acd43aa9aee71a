package import Core

/// The input of a method. The server decodes it, clients encode it.
package enum Request: Hashable, Sendable {
    case hello(HelloRequest)
    case publish(PublishRequest)
    case producer(ProducerRequest)
    case subscribe(SubscribeRequest)
    case acknowledge(AcknowledgeRequest)
    case grant(GrantRequest)
    case stop(StopRequest)
    case fetch(FetchRequest)
    case seek(SeekRequest)
    case pause(PauseRequest)
    case forget(ForgetRequest)
    case restored(RestoredRequest)
    case list(ListRequest)
    case listReceivers(ListReceiversRequest)
    case exchanges(ExchangesRequest)
    case createExchange(ExchangeRequest)
    case server(ServerRequest)
    case listOutbox(ListOutboxRequest)
    case changeOutbox(ChangeOutboxRequest)
    case addPrincipal(AddPrincipalRequest)
    case grantPrincipal(GrantPrincipalRequest)
    case revokePrincipal(RevokePrincipalRequest)
    case rotatePrincipal(RotatePrincipalRequest)
    case listPrincipals(ListPrincipalsRequest)
    case listConnections(ListConnectionsRequest)
}

extension Request {
    package var method: Method {
        switch self {
        case .hello: .hello
        case .publish: .publish
        case .producer: .producer
        case .subscribe: .subscribe
        case .acknowledge: .acknowledge
        case .grant: .grant
        case .stop: .stop
        case .fetch: .fetch
        case .seek: .seek
        case .pause: .pause
        case .forget: .forget
        case .restored: .restored
        case .list: .list
        case .listReceivers: .listReceivers
        case .exchanges: .exchanges
        case .createExchange: .createExchange
        case .server: .server
        case .listOutbox: .listOutbox
        case .changeOutbox: .changeOutbox
        case .addPrincipal: .addPrincipal
        case .grantPrincipal: .grantPrincipal
        case .revokePrincipal: .revokePrincipal
        case .rotatePrincipal: .rotatePrincipal
        case .listPrincipals: .listPrincipals
        case .listConnections: .listConnections
        }
    }

    /// What a request may be decoded into: what decoding ordinary requests takes, with a margin;
    /// protobuf-c's worst cases end here. Source: protocol.md, "Rules for both sides".
    static let arenaBudget = Arena.Budget(memory: 8, piece: 16)

    /// Decodes the payload of a REQUEST. Text is not checked, numbers are raw; the events of a
    /// publish are checked and none may be larger than `eventBytesMax` bytes. Throws
    /// `invalidArgument` for bytes that are not the method's input or need too much memory.
    package static func decode(
        method: Method, payload: UnsafeRawBufferPointer, eventBytesMax: Int, arena: Arena
    ) throws(Failure) -> Request {
        let budget = Self.arenaBudget
        switch method {
        case .hello:
            return .hello(try HelloRequest.decode(payload, budget: budget, arena: arena))
        case .publish:
            return .publish(
                try PublishRequest.decode(payload, eventBytesMax: eventBytesMax))
        case .producer:
            return .producer(try ProducerRequest.decode(payload, budget: budget, arena: arena))
        case .subscribe:
            return .subscribe(try SubscribeRequest.decode(payload, budget: budget, arena: arena))
        case .acknowledge:
            return .acknowledge(
                try AcknowledgeRequest.decode(payload, budget: budget, arena: arena))
        case .grant:
            return .grant(try GrantRequest.decode(payload, budget: budget, arena: arena))
        case .stop:
            return .stop(try StopRequest.decode(payload, budget: budget, arena: arena))
        case .fetch:
            return .fetch(try FetchRequest.decode(payload, budget: budget, arena: arena))
        case .seek:
            return .seek(try SeekRequest.decode(payload, budget: budget, arena: arena))
        case .pause:
            return .pause(try PauseRequest.decode(payload, budget: budget, arena: arena))
        case .forget:
            return .forget(try ForgetRequest.decode(payload, budget: budget, arena: arena))
        case .restored:
            return .restored(try RestoredRequest.decode(payload, budget: budget, arena: arena))
        case .list:
            return .list(try ListRequest.decode(payload, budget: budget, arena: arena))
        case .listReceivers:
            return .listReceivers(
                try ListReceiversRequest.decode(payload, budget: budget, arena: arena))
        case .exchanges:
            return .exchanges(try ExchangesRequest.decode(payload, budget: budget, arena: arena))
        case .createExchange:
            return .createExchange(
                try ExchangeRequest.decode(payload, budget: budget, arena: arena))
        case .server:
            return .server(try ServerRequest.decode(payload, budget: budget, arena: arena))
        case .listOutbox:
            return .listOutbox(try ListOutboxRequest.decode(payload, budget: budget, arena: arena))
        case .changeOutbox:
            return .changeOutbox(
                try ChangeOutboxRequest.decode(payload, budget: budget, arena: arena))
        case .addPrincipal:
            return .addPrincipal(
                try AddPrincipalRequest.decode(payload, budget: budget, arena: arena))
        case .grantPrincipal:
            return .grantPrincipal(
                try GrantPrincipalRequest.decode(payload, budget: budget, arena: arena))
        case .revokePrincipal:
            return .revokePrincipal(
                try RevokePrincipalRequest.decode(payload, budget: budget, arena: arena))
        case .rotatePrincipal:
            return .rotatePrincipal(
                try RotatePrincipalRequest.decode(payload, budget: budget, arena: arena))
        case .listPrincipals:
            return .listPrincipals(
                try ListPrincipalsRequest.decode(payload, budget: budget, arena: arena))
        case .listConnections:
            return .listConnections(
                try ListConnectionsRequest.decode(payload, budget: budget, arena: arena))
        }
    }

    /// Appends the payload of a REQUEST.
    package func encode(into bytes: inout [UInt8]) {
        switch self {
        case .hello(let message): message.encode(into: &bytes)
        case .publish(let message): message.encode(into: &bytes)
        case .producer(let message): message.encode(into: &bytes)
        case .subscribe(let message): message.encode(into: &bytes)
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
        case .addPrincipal(let message): message.encode(into: &bytes)
        case .grantPrincipal(let message): message.encode(into: &bytes)
        case .revokePrincipal(let message): message.encode(into: &bytes)
        case .rotatePrincipal(let message): message.encode(into: &bytes)
        case .listPrincipals(let message): message.encode(into: &bytes)
        case .listConnections(let message): message.encode(into: &bytes)
        }
    }
}
