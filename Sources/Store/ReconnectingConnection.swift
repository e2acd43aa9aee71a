import Core

/// A connection that is made when it is needed and replaced when it is broken.
final class ReconnectingConnection {
    private let settings: ConnectionSettings
    private var connection: PostgresConnection?
    private var preparation: ((PostgresConnection) throws(Failure) -> Void)?

    init(_ settings: ConnectionSettings) {
        self.settings = settings
    }

    /// Runs `preparation` on the next connection and on every later one before anything else.
    func prepareEach(
        _ preparation: @escaping (PostgresConnection) throws(Failure) -> Void
    ) {
        self.connection = nil
        self.preparation = preparation
    }

    /// Runs `body`, which may run twice: a second time when the connection turned out to be broken, which an idle one
    /// only shows when it is used.
    func perform<Result>(_ body: (PostgresConnection) throws(Failure) -> Result) throws(Failure)
        -> Result
    {
        let wasConnected = self.connection != nil
        let connection = try self.connected()
        do throws(Failure) {
            return try body(connection)
        } catch {
            guard connection.isBroken else { throw error }
            self.connection = nil
            // A server that did not answer is not asked again at once: the caller has waited.
            guard wasConnected, !connection.isOverdue else { throw error }
        }
        return try self.performOnce(body)
    }

    /// Runs `body` once, for what may not run twice.
    func performOnce<Result>(_ body: (PostgresConnection) throws(Failure) -> Result)
        throws(Failure) -> Result
    {
        let connection = try self.connected()
        do throws(Failure) {
            return try body(connection)
        } catch {
            if connection.isBroken { self.connection = nil }
            throw error
        }
    }

    func close() {
        self.connection = nil
    }

    private func connected() throws(Failure) -> PostgresConnection {
        if let connection = self.connection { return connection }
        let connection = try PostgresConnection(self.settings)
        try self.preparation?(connection)
        self.connection = connection
        return connection
    }
}
