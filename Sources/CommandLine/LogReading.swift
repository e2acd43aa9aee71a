import DormouseClient

/// Reads a stretch of a log as fast as a server sends it: through a subscription without a name.
struct LogReading {
    let connection: Connection
    let doing: String
    let exchange: String?
    let filter: Filter

    init(
        _ connection: Connection, exchange: String?, _ filter: Filter = .everything, doing: String
    ) {
        self.connection = connection
        self.exchange = exchange
        self.filter = filter
        self.doing = doing
    }

    /// The exchange as the server describes it. Throws `notFound` with the nearest name.
    func description() throws(CommandFailure) -> ExchangeInfo {
        let name = self.exchange ?? "main"
        let exchanges = try self.connection.ask(self.doing) { client throws(DormouseError) in
            try client.exchanges()
        }
        guard let found = exchanges.first(where: { $0.name == name }) else {
            throw self.connection.advised(
                CommandFailure(
                    DormouseError(
                        .notFound,
                        "there is no exchange \(name); 'dormouse exchanges list' shows them"),
                    doing: self.doing))
        }
        return found
    }

    /// Lends all matching events in (after, last], in batches with the position that was reached.
    /// `body` returns false when it wants no more.
    func forEach(
        after: UInt64, last: UInt64,
        _ body: (LentBatch, _ count: Int, _ position: UInt64) throws(CommandFailure) -> Bool
    ) throws(CommandFailure) {
        guard last > after else { return }
        var options = SubscribeOptions(
            self.filter, from: after == 0 ? .first : .position(after + 1),
            exchange: self.exchange)
        options.acknowledgeOnSend = true
        let subscription = try self.connection.ask(self.doing) { client throws(DormouseError) in
            try client.subscribe(options)
        }
        while subscription.position < last {
            let taken = try asking(self.doing) { () throws(DormouseError) in
                try subscription.next { batch in
                    Result { () throws(CommandFailure) in
                        var count = batch.count
                        while count > 0, batch[count - 1].position > last { count -= 1 }
                        return try body(batch, count, min(subscription.position, last))
                    }
                }
            }
            if let taken {
                if try !taken.get() { return }
            } else {
                try asking(self.doing) { () throws(DormouseError) in
                    try self.connection.client.wait()
                }
            }
        }
    }
}
