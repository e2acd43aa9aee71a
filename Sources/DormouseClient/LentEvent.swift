internal import CDormouse

/// An event that the library lends, for programs that look at many and keep few. It and all buffers
/// that it gives out are valid only while the closure runs that was given it; `copy` lives on.
public struct LentEvent {
    private let event: UnsafePointer<dormouse_event>

    init(_ event: UnsafePointer<dormouse_event>) {
        self.event = event
    }

    /// 1, 2, 3 … in its exchange.
    public var position: UInt64 { self.event.pointee.position }
    /// Microseconds since 1970 UTC.
    public var publishedAt: UInt64 { self.event.pointee.published_at }
    /// Words joined by dots.
    public var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(self.event.pointee.key) }
    /// Any bytes.
    public var payload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(self.event.pointee.payload)
    }
    /// The publisher's own, at most 64 bytes.
    public var id: UnsafeRawBufferPointer { UnsafeRawBufferPointer(self.event.pointee.id) }
    /// Such as `application/json`; empty = not said.
    public var contentType: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(self.event.pointee.content_type)
    }
    /// How many headers it has.
    public var headerCount: Int { self.event.pointee.header_count }

    /// The header at `index`, which is below `headerCount`.
    public func header(
        _ index: Int
    ) -> (name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let header = UnsafeBufferPointer(
            start: self.event.pointee.headers, count: self.headerCount)[index]
        return (UnsafeRawBufferPointer(header.name), UnsafeRawBufferPointer(header.value))
    }

    /// An event of its own.
    public func copy() -> Event { Event(self.event.pointee) }
}

/// Some events of a subscription, in order, none left out. Valid only while the closure runs that was
/// given it.
public struct LentBatch {
    private let batch: dormouse_batch

    init(_ batch: dormouse_batch) {
        self.batch = batch
    }

    /// At least one.
    public var count: Int { self.batch.event_count }
    /// The event at `index`, which is below `count`.
    public subscript(index: Int) -> LentEvent {
        precondition(index >= 0 && index < self.count, "the batch has fewer events")
        return LentEvent(self.batch.events + index)
    }
    /// Everything that matches, up to here, has been handed out with this batch.
    public var upto: UInt64 { self.batch.upto }
    /// Newest position of the exchange when it was sent.
    public var head: UInt64 { self.batch.head }
    /// Read from the log, not live.
    public var isReplay: Bool { self.batch.replay }
    /// This name may have been sent some of these before.
    public var isRedelivered: Bool { self.batch.redelivered }
}

extension Event {
    /// Lends this event, for what works on lent ones.
    public func lend<Value>(_ body: (LentEvent) throws -> Value) rethrows -> Value {
        let loan = Loan()
        var event = loan.events([self])[0]
        event.position = self.position
        event.published_at = self.publishedAt
        defer { loan.end() }
        return try withUnsafePointer(to: event) { try body(LentEvent($0)) }
    }
}

extension UnsafeRawBufferPointer {
    init(_ bytes: dormouse_bytes) {
        self.init(start: bytes.data, count: bytes.size)
    }
}
