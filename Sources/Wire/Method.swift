/// What a request asks for; the number is the code of its frame. Source: the comments of the
/// service in dormouse.proto.
package enum Method: UInt16, Hashable, Sendable, CaseIterable {
    case hello = 1
    case publish = 10
    case producer = 11
    case subscribe = 20
    case acknowledge = 21
    case grant = 22
    case stop = 23
    case fetch = 24
    case seek = 30
    case pause = 31
    case forget = 32
    case restored = 33
    case list = 40
    case listReceivers = 41
    case exchanges = 42
    case createExchange = 43
    case server = 44
    case listConnections = 45
    case addPrincipal = 50
    case grantPrincipal = 51
    case revokePrincipal = 52
    case rotatePrincipal = 53
    case listPrincipals = 54
    case listOutbox = 60
    case changeOutbox = 61

    /// The name in dormouse.proto and in what people are shown.
    package var name: String {
        switch self {
        case .hello: "Hello"
        case .publish: "Publish"
        case .producer: "Producer"
        case .subscribe: "Subscribe"
        case .acknowledge: "Acknowledge"
        case .grant: "Grant"
        case .stop: "Stop"
        case .fetch: "Fetch"
        case .seek: "Seek"
        case .pause: "Pause"
        case .forget: "Forget"
        case .restored: "Restored"
        case .list: "List"
        case .listReceivers: "ListReceivers"
        case .exchanges: "Exchanges"
        case .createExchange: "CreateExchange"
        case .server: "Server"
        case .listOutbox: "ListOutbox"
        case .changeOutbox: "ChangeOutbox"
        case .addPrincipal: "AddPrincipal"
        case .grantPrincipal: "GrantPrincipal"
        case .revokePrincipal: "RevokePrincipal"
        case .rotatePrincipal: "RotatePrincipal"
        case .listPrincipals: "ListPrincipals"
        case .listConnections: "ListConnections"
        }
    }
}
