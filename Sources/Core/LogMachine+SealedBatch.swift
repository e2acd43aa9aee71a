extension LogMachine {
    /// What pending publishes become when the writer takes them: events in chunks, and what their publishers are told
    /// once these are stored.
    struct SealedBatch {
        var planned: Position
        var promises: [(ticket: Ticket, promise: Promise)] = []
        var marks: [ProducerMark] = []
        /// They leave the outbox with this batch.
        var rows: [OutboxID] = []
        var bytes = 0
        private var markOfProducer: [Name: Int] = [:]

        init(planned: Position) {
            self.planned = planned
        }

        mutating func add(_ entry: Entry, ticket: Ticket?, to builder: inout ChunkBuilder) {
            switch entry {
            case .store(let events, let skipping, let producer, let sequence, let time):
                guard let last = self.planned.advanced(by: events.count - skipping) else {
                    preconditionFailure("publish has looked that there are so many positions")
                }
                builder.append(events, skipping: skipping, at: time)
                let first = self.planned.next
                self.planned = last
                self.bytes += events.bytes.count
                self.promise(
                    .answer(
                        .published(
                            first: first, last: last, duplicates: UInt32(clamping: skipping))),
                    to: ticket)
                if let producer {
                    self.mark(
                        producer, sequence: sequence + UInt64(events.count) - 1, position: last)
                }
            case .duplicate(let producer, let count):
                self.promise(.duplicate(producer: producer, count: count), to: ticket)
            case .producer(let name):
                self.promise(.producer(name), to: ticket)
            case .refused(let failure):
                self.promise(.answer(.failed(failure)), to: ticket)
            case .move(let events, let rows, let time):
                guard let last = self.planned.advanced(by: events.count) else {
                    preconditionFailure("move has looked that there are so many positions")
                }
                builder.append(events, skipping: 0, at: time)
                self.planned = last
                self.bytes += events.bytes.count
                self.rows += rows
            }
        }

        private mutating func promise(_ promise: Promise, to ticket: Ticket?) {
            if let ticket { self.promises.append((ticket, promise)) }
        }

        private mutating func mark(_ name: Name, sequence: UInt64, position: Position) {
            let mark = ProducerMark(name: name, sequence: sequence, position: position)
            if let index = self.markOfProducer[name] {
                self.marks[index] = mark
            } else {
                self.markOfProducer[name] = self.marks.count
                self.marks.append(mark)
            }
        }
    }
}
