import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Applications that reach Postgres through a pooler whose connections change hands with every transaction.
    @Suite(.serialized)
    struct PoolerTests {
        private static let program = "/usr/sbin/pgbouncer"

        /// Debian's pgbouncer in transaction mode, with two connections for all. The port only names its socket.
        private static func start(_ database: Database, in folder: String) throws -> Child {
            try """
            [databases]
            app = \(database.conninfo)
            [pgbouncer]
            listen_addr =
            listen_port = 6432
            unix_socket_dir = \(folder)
            auth_type = any
            pool_mode = transaction
            default_pool_size = 2
            """.write(toFile: "\(folder)/pgbouncer.ini", atomically: true, encoding: .utf8)
            if let user = Postgres.user { try Command.check(["/bin/chown", user, folder]) }
            let child = try Child(
                [Self.program, "\(folder)/pgbouncer.ini"], in: folder, label: "pgbouncer",
                user: Postgres.user)
            try eventually("the pooler listens") {
                guard child.isRunning else { throw Problem("it ended: \(child.errors)") }
                return FileManager.default.fileExists(atPath: "\(folder)/.s.PGSQL.6432")
            }
            return child
        }

        /// Eight writers, each with several transactions, share two connections of Postgres.
        @Test func theOutboxNeedsNothingOfASession() throws {
            try withServer { server, database in
                let folder = try Folder.make()
                defer { Folder.remove(folder) }
                let pooler = try Self.start(database, in: folder)
                defer { pooler.destroy() }
                let app = Database(
                    conninfo: "host='\(folder)' port=6432 dbname=app user=dormouse")
                let writers = (0..<8).map { writer in
                    Worker("writer \(writer)") {
                        let script = (1...50).map { number in
                            """
                            BEGIN;
                            SELECT dormouse.publish('main', 'w.\(writer)', '\(number)');
                            SELECT pg_sleep(0.001);
                            \(number % 5 == 0 ? "ROLLBACK" : "COMMIT");
                            """
                        }
                        try Command.check(
                            [
                                "\(Postgres.binaries)/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d",
                                app.conninfo,
                            ], input: script.joined(separator: "\n"))
                    }
                }
                for writer in writers { _ = try writer.join() }
                try eventually("all have been moved") {
                    try database.number("SELECT head FROM dormouse.exchange") == 8 * 40
                }
                let orders = try database.query(
                    """
                    SELECT key, string_agg(convert_from(payload, 'UTF8'), ' ' ORDER BY position)
                    FROM dormouse.events GROUP BY key
                    """
                ).split(separator: "\n").map { $0.split(separator: "|").last.map(String.init) }
                let expected = (1...50).filter { $0 % 5 != 0 }.map(String.init)
                    .joined(separator: " ")
                #expect(orders == Array(repeating: expected, count: 8))
            }
        }
    }
}
