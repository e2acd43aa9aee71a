import CLibPQ
import Core

/// One PGresult; freed with the last reference. Rows of the statements that run through `Statement`
/// are binary.
///
/// `@unchecked Sendable`: a result is never changed after libpq has handed it out.
final class PostgresResult: @unchecked Sendable {
    private let result: OpaquePointer

    init(owning result: OpaquePointer) {
        self.result = result
    }

    deinit {
        PQclear(self.result)
    }

    var status: ExecStatusType { PQresultStatus(self.result) }

    var rowsCount: Int { Int(PQntuples(self.result)) }

    /// What went wrong, when the status says so.
    var failure: Failure {
        .postgres(
            sqlState: self.diagnostic(Self.sqlStateField),
            text: PQresultErrorMessage(self.result).map { String(cString: $0) } ?? "")
    }

    func map<Element>(_ row: (Int) throws(Failure) -> Element) throws(Failure) -> [Element] {
        var elements: [Element] = []
        elements.reserveCapacity(self.rowsCount)
        for index in 0..<self.rowsCount { elements.append(try row(index)) }
        return elements
    }

    func isNull(_ row: Int, _ column: Int) -> Bool {
        PQgetisnull(self.result, Int32(row), Int32(column)) != 0
    }

    func integer(_ row: Int, _ column: Int) throws(Failure) -> Int64 {
        let bytes = self.borrowed(row, column)
        switch bytes.count {
        case 8: return Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
        case 4: return Int64(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self)))
        case 1: return Int64(bytes[0])
        default: throw .damaged("column \(column) has \(bytes.count) bytes instead of an integer")
        }
    }

    func position(_ row: Int, _ column: Int) throws(Failure) -> Position {
        let value = try self.integer(row, column)
        guard value >= 0 else { throw .damaged("column \(column) holds a position below zero") }
        return Position(UInt64(value))
    }

    func time(_ row: Int, _ column: Int) throws(Failure) -> Timestamp {
        PostgresTime.decode(try self.integer(row, column))
    }

    func text(_ row: Int, _ column: Int) -> String {
        String(decoding: self.borrowed(row, column), as: UTF8.self)
    }

    func bytes(_ row: Int, _ column: Int) -> [UInt8] {
        [UInt8](self.borrowed(row, column))
    }

    /// nil for null.
    func optionalName(_ row: Int, _ column: Int) throws(Failure) -> Name? {
        self.isNull(row, column) ? nil : try self.name(row, column)
    }

    func name(_ row: Int, _ column: Int) throws(Failure) -> Name {
        do throws(Failure) {
            return try Name(bytes: self.borrowed(row, column))
        } catch {
            throw .damaged(error.message)
        }
    }

    /// The value's bytes without copying: the block keeps the whole result alive.
    func block(_ row: Int, _ column: Int) -> ByteBlock {
        ByteBlock(adopting: self.borrowed(row, column)) { withExtendedLifetime(self) {} }
    }

    /// Lends the bytes of these columns; empty where they are null.
    func withBytes(
        _ row: Int, _ columns: ClosedRange<Int>,
        _ body: ([UnsafeRawBufferPointer]) throws(Failure) -> Void
    ) throws(Failure) {
        defer { withExtendedLifetime(self) {} }
        try body(columns.map { self.borrowed(row, $0) })
    }

    /// Valid while `self` is alive; callers keep it within one expression or hold `self`.
    private func borrowed(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(
            start: PQgetvalue(self.result, Int32(row), Int32(column)),
            count: Int(PQgetlength(self.result, Int32(row), Int32(column))))
    }

    private func diagnostic(_ field: Int32) -> String {
        PQresultErrorField(self.result, field).map { String(cString: $0) } ?? ""
    }

    /// PG_DIAG_SQLSTATE: a character macro, which Swift does not import as a number.
    private static let sqlStateField = Int32(UInt8(ascii: "C"))
}
