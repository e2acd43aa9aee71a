import CLibRDKafka
import Core
import Diagnostics

/// A partition of a topic.
struct TopicPartition: Hashable, CustomStringConvertible {
    let topic: String
    let partition: Int32

    var description: String { "\(self.topic)/\(self.partition)" }
}

/// One rd_kafka_t, used on one thread. librdkafka has threads of its own; what they find comes through `poll`.
final class KafkaClient {
    /// What `poll` found.
    enum Found {
        case nothing
        case message(TopicPartition, offset: Int64, Event)
        /// Something is wrong with one partition, or with all (nil).
        case trouble(TopicPartition?, rd_kafka_resp_err_t, String)
    }

    private let handle: OpaquePointer
    private let inbox: Inbox

    /// `properties` are librdkafka's, for both kinds; wrong ones are told by it.
    init(_ kind: rd_kafka_type_t, _ properties: [(String, String)], _ logger: Logger)
        throws(Failure)
    {
        var text = [CChar](repeating: 0, count: 512)
        let configuration = rd_kafka_conf_new()
        for (name, value) in properties {
            guard
                rd_kafka_conf_set(configuration, name, value, &text, text.count) == RD_KAFKA_CONF_OK
            else {
                rd_kafka_conf_destroy(configuration)
                throw Failure(
                    .invalidArgument, "librdkafka refuses \(name): \(Self.text(of: text))")
            }
        }
        self.inbox = Inbox(logger)
        rd_kafka_conf_set_opaque(
            configuration, Unmanaged.passUnretained(self.inbox).toOpaque())
        // Called on threads of librdkafka. What matters comes as an error, too.
        rd_kafka_conf_set_log_cb(configuration) { handle, _, facility, text in
            guard let opaque = rd_kafka_opaque(handle), let facility, let text else { return }
            let inbox = Unmanaged<Inbox>.fromOpaque(opaque).takeUnretainedValue()
            inbox.logger.debug(
                "librdkafka: \(String(cString: text))", [.reason: String(cString: facility)])
        }
        // Called within `poll` and `serve`, on their thread.
        rd_kafka_conf_set_error_cb(configuration) { _, code, reason, opaque in
            guard let opaque, let reason else { return }
            let inbox = Unmanaged<Inbox>.fromOpaque(opaque).takeUnretainedValue()
            inbox.troubles.append((rd_kafka_resp_err_t(rawValue: code), String(cString: reason)))
        }
        if kind == RD_KAFKA_CONSUMER {
            // Called within `poll`, on its thread.
            rd_kafka_conf_set_rebalance_cb(configuration) { _, code, list, opaque in
                guard let opaque, let list else { return }
                let inbox = Unmanaged<Inbox>.fromOpaque(opaque).takeUnretainedValue()
                inbox.rebalances.append(
                    Rebalance(
                        isAssigned: code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
                        partitions: KafkaClient.partitions(list)))
            }
        } else {
            // Called within `serve`, on its thread.
            rd_kafka_conf_set_dr_msg_cb(configuration) { _, message, opaque in
                guard let opaque, let message else { return }
                let inbox = Unmanaged<Inbox>.fromOpaque(opaque).takeUnretainedValue()
                inbox.reported += 1
                if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR {
                    inbox.failure = KafkaClient.notTaken(message.pointee.err)
                }
            }
        }
        guard let handle = rd_kafka_new(kind, configuration, &text, text.count) else {
            rd_kafka_conf_destroy(configuration)
            throw Failure(.invalidArgument, "librdkafka: \(Self.text(of: text))")
        }
        self.handle = handle
        if kind == RD_KAFKA_CONSUMER { rd_kafka_poll_set_consumer(handle) }
    }

    deinit {
        rd_kafka_destroy(self.handle)
    }

    // MARK: Consuming

    func subscribe(_ topics: [String]) throws(Failure) {
        let list = rd_kafka_topic_partition_list_new(Int32(clamping: topics.count))
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for topic in topics { rd_kafka_topic_partition_list_add(list, topic, -1) }
        let code = rd_kafka_subscribe(self.handle, list)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw Failure(.invalidArgument, "cannot subscribe: \(Self.text(code))")
        }
    }

    func poll(milliseconds: Int32) -> Found {
        guard let message = rd_kafka_consumer_poll(self.handle, milliseconds) else {
            return .nothing
        }
        defer { rd_kafka_message_destroy(message) }
        let place = message.pointee.rkt.map {
            TopicPartition(
                topic: String(cString: rd_kafka_topic_name($0)),
                partition: message.pointee.partition)
        }
        guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
            let text = rd_kafka_message_errstr(message).map { String(cString: $0) } ?? ""
            return .trouble(place, message.pointee.err, text)
        }
        guard let place else { return .nothing }
        return .message(place, offset: message.pointee.offset, KafkaMapping.event(message, place))
    }

    /// What is wrong with brokers, as it came with a poll.
    func takeTroubles() -> [(code: rd_kafka_resp_err_t, text: String)] {
        defer { self.inbox.troubles = [] }
        return self.inbox.troubles
    }

    /// Assignments that came with a poll; each must be answered by `assign`.
    func takeRebalances() -> [Rebalance] {
        defer { self.inbox.rebalances = [] }
        return self.inbox.rebalances
    }

    /// Reads these partitions from these offsets on, and no others; nil: none.
    func assign(_ offsets: [TopicPartition: Int64]?) throws(Failure) {
        guard let offsets else {
            return try self.check(rd_kafka_assign(self.handle, nil), "cannot give partitions back")
        }
        try self.check(
            Self.withList(offsets) { rd_kafka_assign(self.handle, $0) }, "cannot take partitions")
    }

    func seek(_ place: TopicPartition, to offset: Int64) throws(Failure) {
        let problem = Self.withList([place: offset]) { list -> String? in
            if let error = rd_kafka_seek_partitions(self.handle, list, 10_000) {
                defer { rd_kafka_error_destroy(error) }
                return String(cString: rd_kafka_error_string(error))
            }
            // What is wrong with a partition is told in the list only.
            let code = list?.pointee.elems.pointee.err ?? RD_KAFKA_RESP_ERR_NO_ERROR
            return code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : Self.text(code)
        }
        guard let problem else { return }
        throw Failure(.unavailable, "cannot go to offset \(offset) of \(place): \(problem)")
    }

    func pause(_ place: TopicPartition) throws(Failure) {
        try self.check(
            Self.withList([place: 0]) { rd_kafka_pause_partitions(self.handle, $0) },
            "cannot pause \(place)")
    }

    /// The oldest and the next offset of a partition, when the broker tells within five seconds.
    func offsets(_ place: TopicPartition) -> (low: Int64, high: Int64)? {
        var low: Int64 = 0
        var high: Int64 = 0
        let code = rd_kafka_query_watermark_offsets(
            self.handle, place.topic, place.partition, &low, &high, 5_000)
        return code == RD_KAFKA_RESP_ERR_NO_ERROR ? (low, high) : nil
    }

    /// The next offset to be written, as the last answer for this partition has told; asks nobody.
    func newestOffset(_ place: TopicPartition) -> Int64? {
        var low: Int64 = 0
        var high: Int64 = 0
        let code = rd_kafka_get_watermark_offsets(
            self.handle, place.topic, place.partition, &low, &high)
        return code == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : nil
    }

    /// Whether a broker answers within a second.
    var isAnswering: Bool {
        var metadata: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(self.handle, 0, nil, &metadata, 1_000)
        rd_kafka_metadata_destroy(metadata)
        return code == RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// Leaves the group.
    func closeConsumer() {
        _ = rd_kafka_consumer_close(self.handle)
    }

    /// What cannot be cured within this process.
    var fatalError: String? {
        var text = [CChar](repeating: 0, count: 512)
        let code = rd_kafka_fatal_error(self.handle, &text, text.count)
        return code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : Self.text(of: text)
    }

    // MARK: Producing

    /// false: the queue is full; `serve` makes room. Without a payload it is a tombstone.
    func produce(
        topic: String, key: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer?,
        headers: [(name: String, value: [UInt8])]
    ) throws(Failure) -> Bool {
        let list = rd_kafka_headers_new(headers.count)
        for header in headers {
            _ = header.value.withUnsafeBytes {
                rd_kafka_header_add(list, header.name, -1, $0.baseAddress, $0.count)
            }
        }
        let code = dormouse_kafka_produce(
            self.handle, topic, key.baseAddress, key.count, payload?.baseAddress,
            payload?.count ?? 0, list)
        if code == RD_KAFKA_RESP_ERR_NO_ERROR { return true }
        rd_kafka_headers_destroy(list)
        if code == RD_KAFKA_RESP_ERR__QUEUE_FULL { return false }
        throw Self.notTaken(code)
    }

    /// What was wrong with earlier messages does not count any more.
    func forgetFailure() { self.inbox.failure = nil }

    /// Takes delivery reports. Returns how many came so far, and what was wrong with one of them.
    func serve(milliseconds: Int32) -> (reported: Int, failure: Failure?) {
        rd_kafka_poll(self.handle, milliseconds)
        return (self.inbox.reported, self.inbox.failure)
    }

    // MARK: Helpers

    fileprivate static func notTaken(_ code: rd_kafka_resp_err_t) -> Failure {
        let isRefused =
            code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_RECORD
        return Failure(
            isRefused ? .failedPrecondition : .unavailable,
            "Kafka did not take an event: \(Self.text(code))")
    }

    private func check(_ code: rd_kafka_resp_err_t, _ what: String) throws(Failure) {
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        throw Failure(.unavailable, "\(what): \(Self.text(code))")
    }

    /// What a C function has written into a buffer.
    private static func text(of buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func text(_ code: rd_kafka_resp_err_t) -> String {
        String(cString: rd_kafka_err2str(code))
    }

    private static func withList<Value>(
        _ offsets: [TopicPartition: Int64],
        _ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>?) -> Value
    ) -> Value {
        let list = rd_kafka_topic_partition_list_new(Int32(clamping: offsets.count))
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for (place, offset) in offsets {
            rd_kafka_topic_partition_list_add(list, place.topic, place.partition)?.pointee.offset =
                offset
        }
        return body(list)
    }

    fileprivate static func partitions(
        _ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>
    ) -> [TopicPartition] {
        UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt)).map {
            TopicPartition(topic: String(cString: $0.topic), partition: $0.partition)
        }
    }
}

/// What the group coordinator decided.
struct Rebalance {
    let isAssigned: Bool
    let partitions: [TopicPartition]
}

/// Where callbacks put what they are told. librdkafka calls them inside `poll` and `serve` only, on that thread.
private final class Inbox {
    let logger: Logger
    var rebalances: [Rebalance] = []
    var troubles: [(code: rd_kafka_resp_err_t, text: String)] = []
    var reported = 0
    var failure: Failure?

    init(_ logger: Logger) {
        self.logger = logger
    }
}
