import Core
import Foundation
import PlainClient
import Wire

/// A server with principals: it listens on a TCP port, where clients show tokens, and on a unix socket, where this
/// process, which runs as the same user, is the administrator.
final class Guarded {
    let server: Server
    let database: Database
    let administrator: TestClient
    let unix: Address
    let tcp: Address
    private let folder: String

    init(_ flags: [String] = []) throws {
        self.folder = try Folder.make()
        let path = "\(self.folder)/s"
        self.database = try Cluster.shared().makeDatabase()
        self.server = try Server(
            on: self.database, ["--listen", "127.0.0.1:0", "--unix", path] + flags)
        self.unix = Address(endpoint: .unix(path: path))
        let server = self.server
        try eventually("the server listens on both") {
            server.child.output.contains("listening on unix:")
        }
        self.tcp = try self.server.address()
        self.administrator = try TestClient(self.unix, name: "administrator")
    }

    func destroy() {
        self.server.destroy()
        Folder.remove(self.folder)
    }

    /// Adds a principal with these grants; its token.
    func add(_ name: String, _ grants: PrincipalGrant...) throws -> [UInt8] {
        try self.change(
            .addPrincipal(AddPrincipalRequest(name: Array(name.utf8), grants: grants))
        ).token
    }

    @discardableResult
    func change(_ request: Request) throws -> PrincipalReply {
        guard case .principal(let reply) = try self.administrator.call(request) else {
            throw Problem("\(request.method.name) was answered by something else")
        }
        return reply
    }

    func connect(_ token: [UInt8], exchange: String = "") throws -> TestClient {
        let client = try TestClient(self.tcp, token: token)
        client.exchange = exchange
        return client
    }

    /// Why a client with this token is not let in.
    func refusal(_ token: [UInt8]) throws -> Failure {
        do {
            let client = try TestClient(self.tcp, token: token)
            throw Problem("it was let in as \(client.client.welcome.principal.text)")
        } catch let failure as Failure {
            return failure
        }
    }
}

func withGuarded(_ flags: [String] = [], _ body: (Guarded) throws -> Void) throws {
    let guarded = try Guarded(flags)
    defer { guarded.destroy() }
    try body(guarded)
}

extension PrincipalGrant {
    init(_ right: Right, _ exchange: String, _ pattern: String = "#", names: String = "") {
        self.init(
            right: right, exchange: Array(exchange.utf8), pattern: Array(pattern.utf8),
            namePrefix: Array(names.utf8))
    }
}
