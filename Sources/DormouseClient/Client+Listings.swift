extension Client {
    /// By name; `prefix` is of the names.
    public func subscribers(prefix: String = "", exchange: String? = nil)
        async throws(DormouseError) -> [SubscriberInfo]
    {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.subscribers(prefix: prefix, exchange, timeout)
        }
    }

    /// All receivers of an exchange.
    public func receivers(exchange: String? = nil) async throws(DormouseError) -> [ReceiverInfo] {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.receivers(exchange, timeout)
        }
    }

    /// All exchanges, by name.
    public func exchanges() async throws(DormouseError) -> [ExchangeInfo] {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.exchanges(timeout)
        }
    }

    /// All connections of the server, this one included, by number.
    public func serverConnections() async throws(DormouseError) -> [ConnectionInfo] {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.connections(timeout)
        }
    }

    /// What the server says of itself.
    public func server() async throws(DormouseError) -> ServerInfo {
        try await self.connection.ask { handle, timeout throws(DormouseError) in
            try handle.server(timeout)
        }
    }
}
