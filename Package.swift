// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target: language mode 6, warnings are errors, imports are internal, async functions stay where they were
/// called. See CONTRIBUTING.md for what each of them is for.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "dormouse",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "DormouseClient", targets: ["DormouseClient"]),
        .library(name: "EventWorker", targets: ["EventWorker"]),
        .executable(name: "dormoused", targets: ["Daemon"]),
        .executable(name: "dormouse", targets: ["CommandLine"]),
        .executable(name: "dormouse-rabbitmq", targets: ["RabbitMQConnector"]),
        .executable(name: "dormouse-kafka", targets: ["KafkaConnector"]),
        .executable(name: "shop", targets: ["Shop"]),
        .executable(name: "visits", targets: ["Visits"]),
        .executable(name: "market", targets: ["Market"]),
        .executable(name: "market-node", targets: ["MarketNode"]),
        .executable(name: "dormouse-bench", targets: ["Bench"]),
        .executable(name: "dormouse-instructions", targets: ["Instructions"]),
    ],
    targets: [
        .systemLibrary(
            name: "CLibUV", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"]), .brew(["libuv"])]),
        .systemLibrary(
            name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"]), .brew(["libpq"])]),
        .systemLibrary(
            name: "CLibProtobufC", pkgConfig: "libprotobuf-c",
            providers: [.apt(["libprotobuf-c-dev"]), .brew(["protobuf-c"])]),

        .target(name: "Core", swiftSettings: strict),
        .target(name: "Channels", swiftSettings: strict),
        .target(name: "Diagnostics", swiftSettings: strict),
        .target(name: "CWire", dependencies: ["CLibProtobufC"]),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
        .systemLibrary(
            name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"]), .brew(["lz4"])]),
        .target(name: "CDormouse", dependencies: ["CWire", "CLibProtobufC", "COpenSSL", "CLZ4"]),
        .target(name: "Wire", dependencies: ["Core", "CWire", "CLZ4"], swiftSettings: strict),
        .target(
            name: "Net", dependencies: ["Core", "Diagnostics", "CLibUV", "COpenSSL"],
            swiftSettings: strict),
        .systemLibrary(
            name: "CLibMicrohttpd", pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"]), .brew(["libmicrohttpd"])]),
        .target(
            name: "MetricsPage", dependencies: ["Core", "Net", "CLibMicrohttpd"],
            swiftSettings: strict),
        .target(
            name: "Engine", dependencies: ["Core", "Channels", "Diagnostics", "Wire"],
            swiftSettings: strict),
        .target(
            name: "Store", dependencies: ["Core", "Channels", "Diagnostics", "CLibPQ"],
            swiftSettings: strict),
        .executableTarget(
            name: "Daemon",
            dependencies: [
                "Core", "Channels", "Diagnostics", "Wire", "Net", "MetricsPage", "Engine", "Store",
                "COpenSSL",
            ],
            swiftSettings: strict),
        .target(
            name: "DormouseClient", dependencies: ["Channels", "CDormouse"],
            swiftSettings: strict),
        .target(
            name: "EventWorker", dependencies: ["DormouseClient", "CLibPQ"],
            swiftSettings: strict),
        // What the two examples share: command lines, lists, commands for workers.
        .target(
            name: "WorkerCommands", dependencies: ["DormouseClient", "EventWorker"],
            swiftSettings: strict),
        .executableTarget(
            name: "Shop",
            dependencies: [
                "DormouseClient", "EventWorker", "WorkerCommands", "CRabbitMQ", "CLibRDKafka",
            ],
            path: "Examples/Shop", exclude: ["README.md", "demo.sh", "shop.svg"],
            swiftSettings: strict),
        // What docs/workers.md shows.
        .executableTarget(
            name: "Visits", dependencies: ["DormouseClient", "EventWorker"],
            path: "Examples/Visits", swiftSettings: strict),
        .systemLibrary(
            name: "CCurl", path: "Examples/CCurl", pkgConfig: "libcurl",
            providers: [.apt(["libcurl4-openssl-dev"]), .brew(["curl"])]),
        .executableTarget(
            name: "Market",
            dependencies: ["DormouseClient", "EventWorker", "WorkerCommands", "CCurl"],
            path: "Examples/Market", exclude: ["README.md", "demo.sh", "market.svg"],
            swiftSettings: strict),
        // The node that the market's tests and its demonstration read from.
        .executableTarget(
            name: "MarketNode", dependencies: ["EventWorker", "WorkerCommands", "CLibMicrohttpd"],
            path: "Examples/MarketNode", exclude: ["README.md"], swiftSettings: strict),
        .target(name: "PlainClient", dependencies: ["Core", "Wire"], swiftSettings: strict),
        .executableTarget(
            name: "CommandLine", dependencies: ["Core", "Wire", "DormouseClient"],
            swiftSettings: strict),
        .systemLibrary(
            name: "CLibRDKafka", pkgConfig: "rdkafka",
            providers: [.apt(["librdkafka-dev"]), .brew(["librdkafka"])]),
        .target(
            name: "Connector",
            dependencies: ["Core", "Channels", "Diagnostics", "MetricsPage", "DormouseClient"],
            swiftSettings: strict),
        .executableTarget(
            name: "KafkaConnector",
            dependencies: ["Core", "Diagnostics", "DormouseClient", "Connector", "CLibRDKafka"],
            swiftSettings: strict),
        .executableTarget(
            name: "Bench", dependencies: ["Core", "Wire", "PlainClient", "CLibPQ"],
            path: "Benchmarks/Bench", swiftSettings: strict),
        .executableTarget(
            name: "Instructions", dependencies: ["Core", "Wire"],
            path: "Benchmarks/Instructions", swiftSettings: strict),

        .systemLibrary(
            name: "CLibRabbitMQ", pkgConfig: "librabbitmq",
            providers: [.apt(["librabbitmq-dev"]), .brew(["rabbitmq-c"])]),
        .target(name: "CRabbitMQ", dependencies: ["CLibRabbitMQ"]),
        .executableTarget(
            name: "RabbitMQConnector",
            dependencies: ["Core", "Diagnostics", "DormouseClient", "Connector", "CRabbitMQ"],
            swiftSettings: strict),
        // Kafka brokers for the integration tests.
        .executableTarget(
            name: "KafkaMock", dependencies: ["CLibRDKafka"], path: "Tests/KafkaMock"),
        .testTarget(name: "CoreTests", dependencies: ["Core"], swiftSettings: strict),
        .testTarget(name: "ChannelsTests", dependencies: ["Channels"], swiftSettings: strict),
        .testTarget(
            name: "WireTests", dependencies: ["Core", "Wire"], swiftSettings: strict),
        .testTarget(
            name: "NetTests",
            dependencies: ["Core", "Diagnostics", "Net", "COpenSSL", "TestCertificates"],
            swiftSettings: strict),
        // Certificates of every kind, good and bad, by OpenSSL's own program.
        .target(
            name: "TestCertificates", path: "Tests/TestCertificates", swiftSettings: strict),
        // What both stores must pass: the one in Postgres and the simulation's.
        .target(
            name: "StoreConformance", dependencies: ["Core"], path: "Tests/StoreConformance",
            swiftSettings: strict),
        .testTarget(
            name: "StoreTests",
            dependencies: ["Core", "Channels", "Diagnostics", "Store", "StoreConformance"],
            swiftSettings: strict),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Core", "Channels", "Diagnostics", "Wire", "Engine", "StoreConformance",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ConnectorTests", dependencies: ["Core", "Connector"], swiftSettings: strict),
        .testTarget(
            name: "CommandLineTests",
            dependencies: ["Core", "Wire", "PlainClient", "DormouseClient", "CommandLine"],
            swiftSettings: strict),
        .testTarget(
            name: "EventWorkerTests",
            dependencies: ["DormouseClient", "EventWorker", "WorkerCommands"],
            swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "Core", "Wire", "PlainClient", "DormouseClient", "EventWorker", "TestCertificates",
            ],
            swiftSettings: strict),
    ]
)
