import Core
import Foundation
import PlainClient
import Testing

extension Integration {
    /// What somebody has done to the rows of the log is found.
    @Suite(.serialized)
    struct ProgramVerifyTests {
        @Test func aLogIsVerified() throws {
            try withServer { server, database in
                let client = try TestClient(try server.address())
                try client.createExchange("orders")
                try client.publish((1...5000).map { Event("a", "\($0)") })
                client.exchange = "orders"
                try client.publish("a", "1")
                var session = Session(["DORMOUSE_URL": try server.uri()])
                try session.run("dormouse admin verify")
                try session.run("dormouse admin verify --exchange orders --json")
                try session.run("dormouse admin verify --exchange order")
                try session.run("dormouse admin")
                #expect(try session.isRecorded(as: "verify"))
            }
        }

        /// Five chunks of a hundred events in each exchange, all of them in the server's memory, too.
        private func fill(_ exchanges: [String], _ server: Server) throws {
            let client = try TestClient(try server.address())
            for exchange in exchanges {
                try client.createExchange(exchange)
                client.exchange = exchange
                for chunk in 0..<5 {
                    try client.publish(
                        (1...100).map { Event("a", "event \(1000 + 100 * chunk + $0)") })
                }
            }
        }

        /// Changes the chunk of an exchange that begins at a position.
        private func change(
            _ database: Database, _ exchange: String, _ position: Int, _ statement: String
        ) throws {
            let changed = try database.number(
                """
                WITH changed AS (\(statement) WHERE position = \(position) AND exchange_id =
                    (SELECT exchange_id FROM dormouse.exchange WHERE name = '\(exchange)') RETURNING 1)
                SELECT count(*) FROM changed
                """)
            #expect(changed == 1)
        }

        @Test func holesWrongCountsAndSwappedEventsAreFound() throws {
            let database = try Cluster.shared().makeDatabase()
            var server = try Server(on: database, ["--merge-ms", "0"])
            defer { server.destroy() }
            try self.fill(["count", "end", "hole", "more", "sound", "swapped"], server)
            try self.change(database, "hole", 201, "DELETE FROM dormouse.chunk")
            try self.change(database, "end", 401, "DELETE FROM dormouse.chunk")
            try self.change(database, "count", 101, "UPDATE dormouse.chunk SET count = 99")
            try self.change(database, "more", 301, "UPDATE dormouse.chunk SET count = 101")
            // All records are of one size; the tenth and the eleventh change their places.
            let size = try database.number(
                "SELECT octet_length(data) / 100 FROM dormouse.chunk WHERE position = 1 LIMIT 1")
            try self.change(
                database, "swapped", 201,
                """
                UPDATE dormouse.chunk SET data = substr(data, 1, 9 * \(size))
                    || substr(data, 10 * \(size) + 1, \(size)) || substr(data, 9 * \(size) + 1, \(size))
                    || substr(data, 11 * \(size) + 1)
                """)
            var session = Session(["DORMOUSE_URL": try server.uri()])
            try session.run("dormouse admin verify")
            try session.run("dormouse admin verify --json")
            try session.run("dormouse admin verify --exchange sound")
            // To look is not to touch: what is in memory is still served.
            try session.run("dormouse export --exchange hole | wc -l")
            #expect(try session.isRecorded(as: "verify-damage"))

            // The same, when nothing is in memory.
            #expect(try server.stop() == .exit(0))
            server = try Server(on: database, ["--merge-ms", "0"])
            var again = Session(["DORMOUSE_URL": try server.uri()])
            try again.run("dormouse admin verify")
            #expect(session.text.hasPrefix(again.text))
        }
    }
}
