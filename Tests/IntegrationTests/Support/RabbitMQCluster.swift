import Foundation

/// Three nodes on one machine, each with its own name, ports and folder.
final class RabbitMQCluster {
    let nodes: [RabbitMQ]

    init() throws {
        let first = try RabbitMQ.freePorts(7)
        let ports = (0..<3).map { first + 2 * $0 }
        let members = ports.enumerated().map { index, port in
            "cluster_formation.classic_config.nodes.\(index + 1) = \(RabbitMQ.node(port))"
        }
        self.nodes = try ports.map { port in
            try RabbitMQ(
                port: port, mapperPort: first + 6,
                ["cluster_formation.peer_discovery_backend = classic_config"] + members)
        }
        for node in self.nodes { try node.begin() }
        for node in self.nodes { try node.waitUntilStarted() }
        try eventually("the nodes have found each other", seconds: 60) {
            try self.nodes[2].control(
                "eval", "length(rabbit_nodes:all_running()).") == "3\n"
        }
    }

    /// As the flag of a connector wants them, this one first.
    func flags(first: Int) -> [String] {
        (0..<3).flatMap { ["--broker", self.nodes[(first + $0) % 3].uri] }
    }

    func destroy() {
        for node in self.nodes { node.destroy() }
    }
}
