import Foundation
import WorkerCommands

/// Where everything is: from the command line, else from the file, else as on a developer's machine.
struct ShopSettings {
    let broker: String
    let database: String
    let exchange: String
    let schema: String
    let worker: String

    static let flags: Set<String> = [
        "--config", "--broker", "--database", "--exchange", "--schema", "--worker",
    ]
    private static let file = "shop.conf"

    init(_ arguments: Arguments) throws {
        var settings = Settings()
        let names = Set(Self.flags.map { String($0.dropFirst(2)) }).subtracting(["config"])
        if let path = arguments.value("--config") {
            settings = try Settings(path: path, names: names)
        } else if FileManager.default.fileExists(atPath: Self.file) {
            settings = try Settings(path: Self.file, names: names)
        }
        func value(_ name: String) -> String? {
            arguments.value("--\(name)") ?? settings.value(name)
        }
        self.broker = value("broker") ?? "dormouse://127.0.0.1:3673"
        self.database = value("database") ?? "dbname=shop"
        self.exchange = value("exchange") ?? "main"
        self.schema = value("schema") ?? "shop"
        self.worker = value("worker") ?? "shop"
    }
}
