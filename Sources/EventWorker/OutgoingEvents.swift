import DormouseClient

/// Publishes what observers have published in committed transactions. Each worker is a producer, and the
/// sequence is given out in the transaction: however often an event is sent, it is stored once.
struct OutgoingEvents {
    private struct Line {
        let client: BlockingClient
        var next: UInt64
    }

    /// There may be events that are committed and not yet published.
    var mayBeLeft = false
    private var lines: [String: Line] = [:]

    /// Publishes everything that is left.
    mutating func publish(_ store: WorkerStore, _ options: WorkerOptions) throws {
        while true {
            let events = try store.outgoing()
            guard let last = events.last else { break }
            // In order, also where the exchange changes: nobody sees an effect before its cause.
            var rest = events[...]
            while let first = rest.first {
                let count = Self.fitting(rest)
                try self.publish(Array(rest.prefix(count)), first, options)
                rest = rest.dropFirst(count)
            }
            try store.removeOutgoing(upto: last.sequence)
        }
        self.mayBeLeft = false
    }

    /// What every server refuses, whatever its settings. Source: docs/protocol.md, "Events".
    static func problem(in event: Event) -> String? {
        let words = event.key.utf8.split(
            separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isKey = words.allSatisfy { !$0.isEmpty && $0.allSatisfy(Self.isOfKeys) }
        if !isKey || event.key.utf8.count > 255 {
            return
                "has the key '\(event.key)'; expected words of A-Z a-z 0-9 _ - joined by dots, at most 255 bytes"
        }
        if event.id.count > 64 {
            return "has an id of \(event.id.count) bytes; expected at most 64"
        }
        if event.contentType.utf8.count > 255 {
            return
                "has a content type of \(event.contentType.utf8.count) bytes; expected at most 255"
        }
        return nil
    }

    private static func isOfKeys(_ byte: UInt8) -> Bool {
        byte < 128
            && (Character(UnicodeScalar(byte)).isLetter || Character(UnicodeScalar(byte)).isNumber
                || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-"))
    }

    /// How many of these, at least one, can be sent together: to the same exchange, with sequences that
    /// follow each other, and far less than the megabyte that a request may have.
    private static func fitting(_ events: ArraySlice<WorkerStore.Outgoing>) -> Int {
        var count = 0
        var bytes = 0
        var next = events.first?.sequence
        for event in events {
            bytes += event.event.payload.count + 512
            guard event.exchange == events.first?.exchange, event.sequence == next,
                count == 0 || bytes <= 512 * 1024
            else { break }
            count += 1
            next = event.sequence + 1
        }
        return max(count, 1)
    }

    private mutating func publish(
        _ events: [WorkerStore.Outgoing], _ first: WorkerStore.Outgoing, _ options: WorkerOptions
    ) throws {
        let line = try self.line(first, options)
        // Whatever throws leaves a line whose next sequence is not known.
        self.lines[first.exchange] = nil
        do {
            try line.client.publish(events.map(\.event))
        } catch {
            guard error.isFinal else { throw error }
            throw WorkerError(
                .server,
                "the server refuses what was to be published (sequences \(first.sequence) to \(events.last?.sequence ?? 0) of "
                    + "the table worker_outgoing): \(error). Make it possible, or correct or delete these rows; the worker goes on then"
            )
        }
        self.lines[first.exchange] = Line(
            client: line.client, next: first.sequence + UInt64(events.count))
    }

    private func line(_ first: WorkerStore.Outgoing, _ options: WorkerOptions) throws -> Line {
        if let line = self.lines[first.exchange], line.next == first.sequence { return line }
        return try self.newLine(first, options)
    }

    private func newLine(
        _ first: WorkerStore.Outgoing, _ options: WorkerOptions
    ) throws -> Line {
        let exchange = first.exchange.isEmpty ? options.exchange : first.exchange
        let client = try BlockingClient(
            options.server,
            options: [
                "exchange": exchange, "producer": "worker:\(options.exchange):\(options.name)",
                "sequence": String(first.sequence), "client": "worker \(options.name)",
            ])
        return Line(client: client, next: first.sequence)
    }
}
