internal import CDormouse

// What both clients ask of the server and wait for: the one on its own thread, and the blocking one.

extension Handle {
    func seek(
        _ name: String, to start: Start, _ exchange: String?, _ timeout: Int32
    ) throws(DormouseError) -> UInt64 {
        let (code, value) = start.code
        var position: UInt64 = 0
        try self.check(
            dormouse_seek(self.pointer, exchange, name, code, value, timeout, &position))
        return position
    }

    func pause(
        _ name: String, until time: UInt64, _ reason: String, _ exchange: String?, _ timeout: Int32
    ) throws(DormouseError) {
        try self.check(dormouse_pause(self.pointer, exchange, name, time, reason, timeout))
    }

    func resume(
        _ name: String, _ exchange: String?, _ timeout: Int32
    ) throws(DormouseError) {
        try self.check(dormouse_resume(self.pointer, exchange, name, timeout))
    }

    func stop(
        _ name: String, _ exchange: String?, _ timeout: Int32
    ) throws(DormouseError) -> (wasAwake: Bool, position: UInt64) {
        var wasAwake = false
        var position: UInt64 = 0
        try self.check(
            dormouse_stop(self.pointer, exchange, name, timeout, &wasAwake, &position))
        return (wasAwake, position)
    }

    func forget(
        _ name: String, _ exchange: String?, _ timeout: Int32
    ) throws(DormouseError) -> Bool {
        var existed = false
        try self.check(dormouse_forget(self.pointer, exchange, name, timeout, &existed))
        return existed
    }

    func producer(
        _ name: String, _ exchange: String?, _ timeout: Int32
    ) throws(DormouseError) -> (sequence: UInt64, position: UInt64) {
        var (sequence, position): (UInt64, UInt64) = (0, 0)
        try self.check(
            dormouse_producer(self.pointer, exchange, name, timeout, &sequence, &position))
        return (sequence, position)
    }

    func createExchange(_ name: String, _ timeout: Int32) throws(DormouseError) {
        try self.check(dormouse_create_exchange(self.pointer, name, timeout))
    }

    func restored(_ incarnation: [UInt8], _ timeout: Int32) throws(DormouseError) {
        let loan = Loan()
        let status = dormouse_restored(self.pointer, loan.bytes(incarnation), timeout)
        loan.end()
        try self.check(status)
    }

    /// Lends the page's events one after the other; `body` returns false when it wants no more.
    func fetch(
        _ filter: Filter, after position: UInt64, _ exchange: String?, _ limits: FetchLimits,
        _ timeout: Int32, _ body: (LentEvent) -> Bool
    ) throws(DormouseError) -> (upto: UInt64, head: UInt64, isStored: Bool) {
        let loan = Loan()
        var request = dormouse_fetch_options()
        request.struct_size = MemoryLayout<dormouse_fetch_options>.size
        request.exchange = exchange.flatMap { loan.text($0) }
        request.patterns = loan.array(filter.patterns.map { loan.text($0) })
        request.pattern_count = filter.patterns.count
        request.header_matches = loan.matches(filter.headers)
        request.header_match_count = filter.headers.count
        request.after = position
        request.events_max = limits.events
        request.bytes_max = limits.bytes
        request.wait_ms = limits.wait
        request.stored = limits.isStored
        var page: OpaquePointer?
        let status = dormouse_fetch(self.pointer, &request, timeout, &page)
        loan.end()
        try self.check(status)
        defer { dormouse_page_free(page) }
        while let event = dormouse_page_next(page), body(LentEvent(event)) {
            // Until there are none left.
        }
        return (
            dormouse_page_upto(page), dormouse_page_head(page), dormouse_page_is_stored(page)
        )
    }
}

struct FetchLimits {
    var events: UInt32 = 0
    var bytes: UInt32 = 0
    /// Milliseconds.
    var wait: UInt32 = 0
    /// Read anew from the store.
    var isStored = false
}

// MARK: Lists

extension Handle {
    func subscribers(
        prefix: String, _ exchange: String?, _ timeout: Int32
    ) throws(DormouseError) -> [SubscriberInfo] {
        try self.list { list in
            dormouse_list_subscribers(
                self.pointer, exchange, prefix, timeout,
                { context, info in List<SubscriberInfo>.add(context, info) { SubscriberInfo($0) } },
                list)
        }
    }

    func receivers(
        _ exchange: String?, _ timeout: Int32
    ) throws(DormouseError) -> [ReceiverInfo] {
        try self.list { list in
            dormouse_list_receivers(
                self.pointer, exchange, timeout,
                { context, info in List<ReceiverInfo>.add(context, info) { ReceiverInfo($0) } },
                list)
        }
    }

    func exchanges(_ timeout: Int32) throws(DormouseError) -> [ExchangeInfo] {
        try self.list { list in
            dormouse_list_exchanges(
                self.pointer, timeout,
                { context, info in List<ExchangeInfo>.add(context, info) { ExchangeInfo($0) } },
                list)
        }
    }

    func asideRows(_ timeout: Int32) throws(DormouseError) -> [AsideRow] {
        try self.list { list in
            dormouse_list_outbox(
                self.pointer, timeout,
                { context, row in List<AsideRow>.add(context, row) { AsideRow($0) } }, list)
        }
    }

    /// nil: all of them.
    func changeOutbox(
        _ ids: [UInt64]?, isDrop: Bool, _ timeout: Int32
    ) throws(DormouseError) -> UInt64 {
        var changed: UInt64 = 0
        let change = isDrop ? dormouse_drop_outbox : dormouse_retry_outbox
        try self.check(change(self.pointer, ids, ids?.count ?? 0, timeout, &changed))
        return changed
    }

    func connections(_ timeout: Int32) throws(DormouseError) -> [ConnectionInfo] {
        try self.list { list in
            dormouse_list_connections(
                self.pointer, timeout,
                { context, info in List<ConnectionInfo>.add(context, info) { ConnectionInfo($0) } },
                list)
        }
    }

    func server(_ timeout: Int32) throws(DormouseError) -> ServerInfo {
        let found: [ServerInfo] = try self.list { list in
            dormouse_describe_server(
                self.pointer, timeout,
                { context, info in List<ServerInfo>.add(context, info) { ServerInfo($0) } }, list)
        }
        guard let first = found.first else {
            throw DormouseError(.internal, "the server did not describe itself")
        }
        return first
    }

    func list<Entry>(
        _ body: (UnsafeMutableRawPointer) -> dormouse_status
    ) throws(DormouseError) -> [Entry] {
        let list = List<Entry>()
        try self.check(body(Unmanaged.passUnretained(list).toOpaque()))
        return list.entries
    }
}

/// Gathers what the library lends entry by entry.
final class List<Entry> {
    var entries: [Entry] = []

    static func add<Info>(
        _ context: UnsafeMutableRawPointer?, _ info: UnsafePointer<Info>?,
        _ copy: (Info) -> Entry
    ) -> Bool {
        guard let context, let info else { return false }
        Unmanaged<List<Entry>>.fromOpaque(context).takeUnretainedValue().entries
            .append(copy(info.pointee))
        return true
    }
}
