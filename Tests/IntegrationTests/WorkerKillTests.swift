import DormouseClient
import EventWorker
import Foundation
import Testing

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    /// The worker, the server and the Postgres of both end at instants that nobody chose.
    @Suite(.serialized)
    struct WorkerKillTests {
        private static let killsCount = 200

        /// What the tables must hold, and in which order each customer was written, computed from the log.
        private struct Model {
            var addresses: [String: String] = [:]
            var purchases: [String: String] = [:]
            var history: [String: [String]] = [:]
            var badPositions: [String] = []

            init(_ database: Database) throws {
                let text = try database.query(
                    """
                    SELECT position, convert_from(payload, 'UTF8') FROM dormouse.events
                    ORDER BY position
                    """)
                for line in text.split(separator: "\n") {
                    let parts = line.split(separator: "|", maxSplits: 1)
                    let content = try JSONSerialization.jsonObject(with: Data(parts[1].utf8))
                    guard let fields = content as? [String: Any] else {
                        throw Problem("an event reads '\(line)'")
                    }
                    switch fields["event_type"] as? String {
                    case "new_customer":
                        let (id, address) = ("\(fields["id"] ?? "")", "\(fields["address"] ?? "")")
                        self.addresses[id] = address
                        self.history[id, default: []].append(address)
                    case "customer_buys_product":
                        self.purchases["\(fields["id"] ?? "")"] =
                            "\(fields["customer_id"] ?? "") \(fields["price"] ?? "") "
                            + "\(fields["quantity"] ?? "") \(fields["bought_at"] ?? "")"
                    default: self.badPositions.append(String(parts[0]))
                    }
                }
            }
        }

        /// Customers that move house, and their purchases; now and then something that nobody understands.
        private static func publish(
            _ uri: String, _ random: SeededNumbers, until isOver: Locked<Bool>
        ) throws -> Int {
            var random = random
            var client: BlockingClient?
            var sequence = 1
            while !isOver.current {
                let count = Int.random(in: 1...8, using: &random)
                let events = (0..<count).map {
                    Self.event(sequence + $0, Int.random(in: 0..<100, using: &random))
                }
                // Whatever happens, the same sequence is the same event.
                while true {
                    do {
                        let open =
                            try client
                            ?? BlockingClient(
                                uri,
                                options: ["producer": "customers", "sequence": String(sequence)],
                                timeout: 30_000, isPatient: true)
                        client = open
                        try open.publish(events)
                        break
                    } catch {
                        client = nil
                        if isOver.current { return sequence }
                    }
                }
                sequence += count
                usleep(10_000)
            }
            return sequence
        }

        private static func event(_ number: Int, _ chance: Int) -> Event {
            let customer = "c\(number % 20)"
            if chance == 0, number > 100 {
                return Event(key: "shop.customer.bad\(number).new", "{\"event_type\":\"nonsense\"}")
            }
            if chance < 40 || number <= 20 {
                return Event(
                    key: "shop.customer.\(customer).new",
                    """
                    {"event_type":"new_customer","id":"\(customer)","first_name":"A","last_name":"B","address":"\(number)"}
                    """)
            }
            return Event(
                key: "shop.customer.\(customer).buys",
                """
                {"event_type":"customer_buys_product","id":"p\(number)","customer_id":"\(customer)",\
                "product_id":"m","product_type":"m","product_name":"m","price":\(chance),"quantity":2,\
                "bought_at":\(number)}
                """)
        }

        @Test func twoHundredKillsLoseNothingAndRepeatNothing() throws {
            var random = SeededNumbers.fresh(for: "kill -9 of worker, server and Postgres")
            let cluster = try Cluster()
            defer { cluster.destroy() }
            let log = try cluster.makeDatabase()
            let shop = try cluster.makeDatabase()
            let folder = try Folder.make()
            defer { Folder.remove(folder) }
            let scene = Scene(cluster: cluster, log: log, shop: shop, folder: folder)
            defer { scene.destroy() }
            try scene.startServer()
            try scene.prepareAudit()
            try scene.startWorker()

            let isOver = Locked(false)
            let seed = SeededNumbers(seed: random.seed &+ 1)
            let uri = scene.uri
            let publisher = Worker("the publisher") {
                try Self.publish(uri, seed, until: isOver)
            }
            defer { isOver.withLock { $0 = true } }
            for kill in 1...Self.killsCount {
                usleep(UInt32.random(in: 5_000...250_000, using: &random))
                try publisher.check()
                switch Int.random(in: 1...20, using: &random) {
                case 1...14: try scene.killWorker()
                case 15...16: try scene.killServer()
                case 17...19: try scene.killBackend(&random)
                default: try scene.killPostgres()
                }
                if kill.isMultiple(of: 50) { print("\(kill) kills; \(try scene.progress())") }
            }
            isOver.withLock { $0 = true }
            _ = try publisher.join(seconds: 120)
            try scene.settle()
            try self.compare(scene, try Model(log))
        }

        private func compare(_ scene: Scene, _ model: Model) throws {
            let shop = scene.shop
            func pairs(_ sql: String) throws -> [String: String] {
                let lines = try shop.query(sql).split(separator: "\n")
                let pairs = lines.map { $0.split(separator: "|", maxSplits: 1).map(String.init) }
                return Dictionary(pairs.map { ($0[0], $0[1]) }) { first, _ in first }
            }
            #expect(
                try pairs("SELECT id, address FROM shop.shop_customer") == model.addresses)
            #expect(
                try pairs(
                    """
                    SELECT id, customer_id || ' ' || price_minor || ' ' || quantity || ' ' || bought_at
                    FROM shop.shop_purchase
                    """) == model.purchases)
            // Each write of each customer happened once, in the order of the log.
            let history = try pairs(
                """
                SELECT customer, string_agg(address, ' ' ORDER BY number) FROM shop.audit GROUP BY customer
                """)
            #expect(history == model.history.mapValues { $0.joined(separator: " ") })
            // Nothing but what nobody understands is left, each with its reason.
            let parked = try shop.query(
                """
                SELECT position FROM shop.worker_aside
                WHERE state = 'parked' AND reason LIKE '%nonsense%' ORDER BY position
                """)
            #expect(parked.split(separator: "\n").map(String.init) == model.badPositions)
            #expect(
                try shop.number("SELECT count(*) FROM shop.worker_aside")
                    == model.badPositions.count)
            print(
                "\(model.addresses.count) customers, \(model.purchases.count) purchases, "
                    + "\(model.badPositions.count) parked; \(try scene.progress())")
        }
    }
}

/// A server, its Postgres and a shop that consumes, each of which can be killed.
private final class Scene {
    let log: Database
    let shop: Database
    let uri: String
    private let cluster: Cluster
    private let folder: String
    private var server: Server?
    private var worker: Child?
    private var starts = 0

    init(cluster: Cluster, log: Database, shop: Database, folder: String) {
        (self.cluster, self.log, self.shop, self.folder) = (cluster, log, shop, folder)
        self.uri = "unix:\(folder)/dormouse.sock"
    }

    func destroy() {
        self.worker?.destroy()
        self.server?.destroy()
    }

    func startServer() throws {
        self.server?.destroy()
        self.server = try Server([
            "--database", self.log.conninfo, "--unix", "\(self.folder)/dormouse.sock",
        ])
    }

    private var flags: [String] {
        ["--broker", self.uri, "--database", self.shop.conninfo]
    }

    /// Writes down each write of a customer: a second one would show, also where it changes nothing.
    func prepareAudit() throws {
        try Command.check(["\(Server.binaries)/shop", "customers", "list"] + self.flags)
        try self.shop.query(
            """
            CREATE TABLE shop.audit (number bigserial, customer text, address text);
            CREATE FUNCTION shop.write_down() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    INSERT INTO shop.audit (customer, address) VALUES (NEW.id, NEW.address);
                    RETURN NULL;
                END $$;
            CREATE TRIGGER audit AFTER INSERT OR UPDATE ON shop.shop_customer
                FOR EACH ROW EXECUTE FUNCTION shop.write_down()
            """)
    }

    func startWorker() throws {
        self.starts += 1
        self.worker = try Child(
            ["\(Server.binaries)/shop", "consume"] + self.flags, in: self.folder,
            label: "worker-\(self.starts)")
    }

    func killWorker() throws {
        guard let worker = self.worker else { return }
        worker.signal(SIGKILL)
        let end = try worker.wait()
        guard end == .signal(SIGKILL) else {
            throw Problem("the worker had ended by \(end): \(worker.errors.suffix(2000))")
        }
        try self.startWorker()
    }

    func killServer() throws {
        try self.server?.killAtOnce()
        try self.startServer()
    }

    /// Postgres takes that for a crash, ends all connections and recovers.
    func killBackend(_ random: inout SeededNumbers) throws {
        guard let postmaster = Postgres.postmaster(self.cluster.data) else {
            throw Problem("there is no Postgres to kill a part of")
        }
        let all = try Postgres.children(of: postmaster).filter(Postgres.isBackend)
        // None is connected while all of them recover from the last time.
        if let process = all.randomElement(using: &random) { kill(process, SIGKILL) }
    }

    /// Everything of it, at once.
    func killPostgres() throws {
        guard let postmaster = Postgres.postmaster(self.cluster.data) else {
            throw Problem("there is no Postgres to kill")
        }
        // Standing still it makes no more of them.
        kill(postmaster, SIGSTOP)
        let all = try [postmaster] + Postgres.children(of: postmaster)
        for process in all { kill(process, SIGKILL) }
        // Any that is left, be it as a zombie, looks to the next Postgres as if the last still ran.
        try eventually("all of its processes are gone") {
            all.allSatisfy { kill($0, 0) != 0 }
        }
        try self.cluster.start()
    }

    func progress() throws -> String {
        (try? self.shop.query(
            "SELECT 'worker at ' || position || ', epoch ' || epoch FROM shop.worker"))
            ?? "Postgres recovers"
    }

    /// Waits until everything in the log is applied or parked.
    func settle() throws {
        try eventually("the worker is at the head of the log", seconds: 180) {
            if let worker = self.worker, !worker.isRunning {
                throw Problem("the worker ended: \(worker.errors.suffix(2000))")
            }
            guard let head = try? self.log.query("SELECT head FROM dormouse.exchange"),
                let position = try? self.shop.query("SELECT position FROM shop.worker")
            else { return false }
            return head == position
        }
        // By chance the kills may have hit one event as often as one that kills.
        _ = try Command.run(["\(Server.binaries)/shop", "worker", "retry"] + self.flags)
        try eventually("nothing is tried any more", seconds: 60) {
            try self.shop.number("SELECT count(*) FROM shop.worker_aside WHERE state <> 'parked'")
                == 0
        }
        self.worker?.signal(SIGTERM)
        guard try self.worker?.wait() == .exit(0) else {
            throw Problem("the worker did not end well: \(self.worker?.errors.suffix(2000) ?? "")")
        }
    }
}
