internal import CLibPQ

/// What a statement returned.
///
/// `@unchecked Sendable`: a result is never changed after libpq has handed it out.
public final class Rows: @unchecked Sendable {
    private let result: OpaquePointer

    init(owning result: OpaquePointer) {
        self.result = result
    }

    deinit {
        PQclear(self.result)
    }

    /// How many rows.
    public var count: Int { Int(PQntuples(self.result)) }

    /// How many rows the statement inserted, changed or deleted.
    public var changedCount: Int { Int(String(cString: PQcmdTuples(self.result))) ?? 0 }

    /// The value in the text that Postgres writes; nil = NULL. Rows and columns count from 0.
    public func text(_ row: Int, _ column: Int) -> String? {
        precondition(row >= 0 && row < self.count, "there are fewer rows")
        precondition(column >= 0 && column < Int(PQnfields(self.result)), "there are fewer columns")
        guard PQgetisnull(self.result, Int32(row), Int32(column)) == 0 else { return nil }
        return String(cString: PQgetvalue(self.result, Int32(row), Int32(column)))
    }

    /// The value as an integer; throws `unexpected` when it is none.
    public func integer(_ row: Int, _ column: Int) throws(WorkerError) -> Int64 {
        guard let value = self.text(row, column).flatMap({ Int64($0) }) else {
            throw WorkerError(
                .unexpected, "column \(column) holds no integer where one is expected")
        }
        return value
    }

    /// The value of a bytea column; NULL is empty.
    public func bytes(_ row: Int, _ column: Int) throws(WorkerError) -> [UInt8] {
        guard let text = self.text(row, column) else { return [] }
        var count = 0
        guard let bytes = PQunescapeBytea(text, &count) else {
            throw WorkerError(.unexpected, "libpq has no memory for a bytea")
        }
        defer { PQfreemem(bytes) }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }

    // MARK: How it went

    var status: ExecStatusType { PQresultStatus(self.result) }

    /// Such as "COMMIT", or "ROLLBACK" for a COMMIT of what had failed.
    var tag: String { String(cString: PQcmdStatus(self.result)) }

    var error: WorkerError {
        // PG_DIAG_SQLSTATE is a character macro, which Swift does not import as a number.
        let state =
            PQresultErrorField(self.result, Int32(UInt8(ascii: "C")))
            .map { String(cString: $0) } ?? ""
        let text = PQresultErrorMessage(self.result).map { String(cString: $0) } ?? ""
        return WorkerError(Self.kind(state), text.trimmedEnd, sqlState: state)
    }

    /// Source: PostgreSQL documentation, appendix A. None (libpq's own) and 08: connection. 57P01–57P05:
    /// shutdown, crash, starting up, the database is gone, nothing was said for too long. 53: out of resources. 40001, 40P01: lost against another transaction.
    /// 25006: a standby. 55P03, 57014: our own lock and statement timeouts.
    private static func kind(_ sqlState: String) -> WorkerError.Kind {
        switch sqlState {
        case "", "57P01", "57P02", "57P03", "57P04", "57P05", "40001", "40P01", "25006", "55P03",
            "57014":
            .databaseAway
        default:
            sqlState.hasPrefix("08") || sqlState.hasPrefix("53") ? .databaseAway : .refused
        }
    }
}

extension String {
    var trimmedEnd: String {
        var text = self
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}
