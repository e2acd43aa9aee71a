import CWire
import Core

/// A row of the outbox that was set aside. Times are microseconds since 1970 UTC.
package struct AsideRowMessage: Hashable, Sendable {
    package var id: UInt64
    /// As the writer gave it; the beginning of it. So is the key.
    package var exchange: [UInt8]
    package var key: [UInt8]
    /// Of its payload.
    package var bytes: UInt64
    package var reason: [UInt8]
    package var insertedAt: UInt64

    package init(
        id: UInt64 = 0, exchange: [UInt8] = [], key: [UInt8] = [], bytes: UInt64 = 0,
        reason: [UInt8] = [], insertedAt: UInt64 = 0
    ) {
        self.id = id
        self.exchange = exchange
        self.key = key
        self.bytes = bytes
        self.reason = reason
        self.insertedAt = insertedAt
    }
}

extension AsideRowMessage: Message {
    static var unpack: Unpack<Dormouse__V1__AsideRow> { dormouse__v1__aside_row__unpack }

    init(_ unpacked: Dormouse__V1__AsideRow) throws(Failure) {
        self.init(
            id: unpacked.id, exchange: [UInt8](unpacked.exchange), key: [UInt8](unpacked.key),
            bytes: unpacked.bytes, reason: [UInt8](unpacked.reason),
            insertedAt: unpacked.inserted_at)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.id)
        bytes.writeBytes(2, self.exchange)
        bytes.writeBytes(3, self.key)
        bytes.writeFixed64(4, self.bytes)
        bytes.writeBytes(5, self.reason)
        bytes.writeFixed64(6, self.insertedAt)
    }
}

/// Asks for a page of what was set aside.
package struct ListOutboxRequest: Hashable, Sendable {
    package var after: UInt64
    /// 0: the server's default.
    package var pageSize: UInt32

    package init(after: UInt64 = 0, pageSize: UInt32 = 0) {
        self.after = after
        self.pageSize = pageSize
    }
}

extension ListOutboxRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ListOutboxRequest> {
        dormouse__v1__list_outbox_request__unpack
    }

    init(_ unpacked: Dormouse__V1__ListOutboxRequest) throws(Failure) {
        self.init(after: unpacked.after, pageSize: unpacked.page_size)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.after)
        bytes.writeUInt32(2, self.pageSize)
    }
}

/// A page; an empty one is the last.
package struct ListOutboxReply: Hashable, Sendable {
    package var rows: [AsideRowMessage]

    package init(rows: [AsideRowMessage] = []) {
        self.rows = rows
    }
}

extension ListOutboxReply: Message {
    static var unpack: Unpack<Dormouse__V1__ListOutboxReply> {
        dormouse__v1__list_outbox_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__ListOutboxReply) throws(Failure) {
        self.init(rows: try AsideRowMessage.all(unpacked.rows, count: unpacked.n_rows))
    }

    package func encode(into bytes: inout [UInt8]) {
        for row in self.rows { bytes.writeMessage(1) { row.encode(into: &$0) } }
    }
}

/// Puts rows that were set aside back into the outbox, or deletes them.
package struct ChangeOutboxRequest: Hashable, Sendable {
    package var ids: [UInt64]
    package var isAll: Bool
    package var isDrop: Bool

    package init(ids: [UInt64] = [], isAll: Bool = false, isDrop: Bool = false) {
        self.ids = ids
        self.isAll = isAll
        self.isDrop = isDrop
    }
}

extension ChangeOutboxRequest: Message {
    static var unpack: Unpack<Dormouse__V1__ChangeOutboxRequest> {
        dormouse__v1__change_outbox_request__unpack
    }

    init(_ unpacked: Dormouse__V1__ChangeOutboxRequest) throws(Failure) {
        self.init(
            ids: Array(
                UnsafeBufferPointer(
                    start: unpacked.ids, count: unpacked.ids == nil ? 0 : unpacked.n_ids)),
            isAll: unpacked.all != 0, isDrop: unpacked.drop != 0)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writePackedFixed64(1, self.ids)
        bytes.writeBool(2, self.isAll)
        bytes.writeBool(3, self.isDrop)
    }
}

/// How many rows there were.
package struct ChangeOutboxReply: Hashable, Sendable {
    package var count: UInt64

    package init(count: UInt64 = 0) {
        self.count = count
    }
}

extension ChangeOutboxReply: Message {
    static var unpack: Unpack<Dormouse__V1__ChangeOutboxReply> {
        dormouse__v1__change_outbox_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__ChangeOutboxReply) throws(Failure) {
        self.init(count: unpacked.count)
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.count)
    }
}
