import WorkerCommands

/// Where everything is.
struct ShopSettings {
    let broker: String
    let database: String
    let exchange: String
    let schema: String
    let worker: String
    /// nil: not said.
    let through: Through?
    let rabbitmq: String
    let rabbitmqExchange: String
    let kafka: String
    let topic: String

    static let flags: Set<String> = [
        "--config", "--broker", "--database", "--exchange", "--schema", "--worker", "--through",
        "--rabbitmq", "--rabbitmq-exchange", "--kafka", "--topic",
    ]

    init(_ arguments: Arguments) throws {
        let settings = try Settings(arguments, flags: Self.flags, file: "shop.conf")
        self.broker = settings.value("broker", default: "dormouse://127.0.0.1:3673")
        self.database = settings.value("database", default: "dbname=shop")
        self.exchange = settings.value("exchange", default: "main")
        self.schema = settings.value("schema", default: "shop")
        self.worker = settings.value("worker", default: "shop")
        self.through = try settings.choice("through")
        self.rabbitmq = settings.value("rabbitmq", default: "amqp://guest:guest@127.0.0.1")
        self.rabbitmqExchange = settings.value("rabbitmq-exchange", default: "shop")
        self.kafka = settings.value("kafka", default: "127.0.0.1:9092")
        self.topic = settings.value("topic", default: "shop.events")
    }
}
