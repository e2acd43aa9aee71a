import Core
import Wire

/// Every message with every field set, as it stands in Tests/Golden. Values are chosen to be
/// different in every field, and to need more than one byte where a number can.
enum Samples {
    static let config = ReceiverConfigMessage(
        exchange: bytes("orders"), patterns: [bytes("order.*.paid"), bytes("refund.#")],
        headers: [
            HeaderMatchMessage(name: bytes("region"), kind: .prefix, value: bytes("eu-")),
            HeaderMatchMessage(name: bytes("test"), kind: .absent),
        ])

    static let incarnation: [UInt8] = Array(0xA0...0xAF)

    static let events = [
        Event(
            key: bytes("order.1042.paid"), payload: [0x00, 0xFF, 0x7A, 0x22], id: bytes("evt-1"),
            contentType: bytes("application/json"),
            headers: [
                Header(name: bytes("traceparent"), value: bytes("00-0af7651916cd43dd-b7ad6b71-01")),
                Header(name: bytes("empty"), value: []),
            ]),
        Event(key: bytes("k")),
        Event(key: bytes("order.1043.paid"), payload: Array(repeating: 0x41, count: 200)),
    ]

    static var publishRequest: PublishRequest {
        get throws {
            var events = EncodedEvents()
            for event in Self.events {
                try events.append(event, eventBytesMax: eventBytesMax)
            }
            return PublishRequest(
                exchange: bytes("orders"), producer: bytes("checkout-1"),
                sequence: 0x0102_0304_0506,
                events: events)
        }
    }

    static let delivery = Delivery(
        header: DeliveryHeader(
            after: Position(41), upto: Position(300), head: Position(1 << 40), replay: true,
            redelivered: true),
        events: Self.events.enumerated().map { index, event in
            var event = event
            event.position = Position(UInt64(42 + index))
            event.publishedAt = Timestamp(rawValue: 1_767_225_600_000_000)
            return event
        })

    static let failure = Failure(
        .positionLost, "the position 7 is gone", detail: "the log begins at 1000",
        firstPosition: Position(1000), incarnation: Self.incarnation, retryAfterMilliseconds: 1500)

    static var requests: [Request] {
        get throws {
            try [
                .hello(
                    HelloRequest(
                        client: bytes("bench"), library: bytes("libdormouse/1.0.0"), minor: 300,
                        token: bytes("id.secret"), features: [1, 150, 70_000])),
                .publish(Self.publishRequest),
                .producer(
                    ProducerRequest(exchange: bytes("orders"), producer: bytes("checkout-1"))),
                .subscribe(Self.subscribe),
                .acknowledge(AcknowledgeRequest(stream: 3, upto: 1 << 33)),
                .grant(GrantRequest(stream: 3, events: 1000, bytes: 8 << 20)),
                .stop(StopRequest(exchange: bytes("orders"), name: bytes("billing"))),
                .fetch(
                    FetchRequest(
                        config: Self.config, after: 17, eventsMax: 500, bytesMax: 1 << 20,
                        waitMilliseconds: 30_000, stored: true)),
                .seek(
                    SeekRequest(
                        exchange: bytes("orders"), name: bytes("billing"), start: .time,
                        startValue: 1_767_225_600_000_000)),
                .pause(
                    PauseRequest(
                        exchange: bytes("orders"), name: bytes("billing"),
                        until: 1_767_225_600_000_000, reason: bytes("maintenance"))),
                .forget(ForgetRequest(exchange: bytes("orders"), name: bytes("billing"))),
                .restored(RestoredRequest(incarnation: Self.incarnation)),
                .list(
                    ListRequest(
                        exchange: bytes("orders"), namePrefix: bytes("bill"), pageSize: 200,
                        pageToken: bytes("billing"))),
                .listReceivers(ListReceiversRequest(exchange: bytes("orders"))),
                .exchanges(ExchangesRequest()),
                .createExchange(ExchangeRequest(name: bytes("orders"))),
                .server(ServerRequest()),
                .listConnections(ListConnectionsRequest(pageSize: 200, pageToken: bytes("77"))),
            ] + Self.principalRequests + Self.outboxRequests
        }
    }

    static let subscribe = SubscribeRequest(
        name: bytes("billing"), config: Self.config, start: .position, startValue: 99,
        reposition: true, replaceConfig: true, acknowledgement: .onSend, creditEvents: 1000,
        creditBytes: 8 << 20, acknowledgeWithinMilliseconds: 60_000, lastSeen: 98,
        lastIncarnation: Self.incarnation)

    static let replies: [(Wire.Method, Reply)] =
        [
            (
                .hello,
                .hello(
                    Welcome(
                        server: bytes("dormoused/1.0.0"), minor: 200, incarnation: Self.incarnation,
                        frameBytesMax: 1 << 20, heartbeatMilliseconds: 20_000, connectionID: 77,
                        principal: bytes("checkout"), features: [2, 300]))
            ),
            (
                .publish,
                .publish(PublishReply(firstPosition: 42, lastPosition: 44, duplicates: 130))
            ),
            (.producer, .producer(ProducerReply(sequence: 1 << 50, position: 44))),
            (.acknowledge, .acknowledge(AcknowledgeReply(position: 300))),
            (.grant, .grant(GrantReply())),
            (.stop, .stop(StopReply(wasAwake: true, position: 300))),
            (.fetch, .fetch(Self.delivery)),
            (.seek, .seek(SeekReply(position: 10, previous: 300))),
            (.pause, .pause(PauseReply())),
            (.forget, .forget(ForgetReply(existed: true))),
            (
                .list,
                .list(
                    ListReply(
                        subscriptions: [Self.subscription, Subscription()],
                        nextPageToken: bytes("billing")))
            ),
            (
                .listReceivers,
                .listReceivers(
                    ListReceiversReply(receivers: [
                        ReceiverInfo(
                            exchange: bytes("orders"), id: 5, config: Self.config, awake: 1000,
                            sleeping: 2000)
                    ]))
            ),
            (.exchanges, .exchanges(ExchangesReply(exchanges: [Self.exchange]))),
            (.createExchange, .createExchange(Self.exchange)),
            (
                .server,
                .server(
                    ServerReply(
                        server: bytes("dormoused/1.0.0"), incarnation: Self.incarnation,
                        startedAt: 1_767_225_600_000_000, connections: 900, published: 1 << 40,
                        delivered: 1 << 41, storeAvailable: true, storeReason: bytes("slow")))
            ),
            (
                .listOutbox,
                .listOutbox(
                    ListOutboxReply(rows: [
                        AsideRowMessage(
                            id: 17, exchange: bytes("orders"), key: bytes("no key"), bytes: 300,
                            reason: bytes("the key has a blank"), insertedAt: 1_767_225_600_000_000)
                    ]))
            ),
            (.changeOutbox, .changeOutbox(ChangeOutboxReply(count: 500))),
            (.restored, .restored(RestoredReply(incarnation: Self.incarnation))),
            (
                .listConnections,
                .listConnections(
                    ListConnectionsReply(
                        connections: [Self.connection, ConnectionInfo()], nextPageToken: bytes("77")
                    ))
            ),
        ] + Self.principalReplies

    static let subscription = Subscription(
        exchange: bytes("orders"), name: bytes("billing"), config: Self.config,
        state: .waitingForCredit, reason: bytes("no credit"), position: 1, sent: 2, head: 3,
        since: 4, oldestWaitingAt: 5, peer: bytes("127.0.0.1:50000"), client: bytes("bench"),
        principal: bytes("checkout"), delivered: 6, acknowledged: 7,
        pausedUntil: 8)

    private static let outboxRequests: [Request] = [
        .listOutbox(ListOutboxRequest(after: 17, pageSize: 200)),
        .changeOutbox(ChangeOutboxRequest(ids: [1, 1 << 40], isAll: true, isDrop: true)),
    ]

    private static let defaultOutboxRequests: [Request] = [
        .listOutbox(ListOutboxRequest()), .changeOutbox(ChangeOutboxRequest()),
    ]

    static let connection = ConnectionInfo(
        id: 77, peer: bytes("127.0.0.1:50000"), client: bytes("bench"),
        library: bytes("libdormouse/1.0.0"), principal: bytes("checkout"), since: 4,
        subscriptions: 300, names: [bytes("orders/billing"), bytes("orders/")], published: 5,
        delivered: 6, queuedBytes: 7, sentBytes: 8, receivedBytes: 9)

    static let exchange = ExchangeInfo(
        name: bytes("orders"), first: 1, head: 2, bytes: 3, epoch: 4, receivers: 500,
        subscribers: 600)

    static let defaultRequests: [Request] =
        [
            .hello(HelloRequest()), .publish(PublishRequest()), .producer(ProducerRequest()),
            .subscribe(SubscribeRequest()), .acknowledge(AcknowledgeRequest()),
            .grant(GrantRequest()), .stop(StopRequest()), .fetch(FetchRequest()),
            .seek(SeekRequest()), .pause(PauseRequest()), .forget(ForgetRequest()),
            .restored(RestoredRequest()),
            .list(ListRequest()), .listReceivers(ListReceiversRequest()),
            .exchanges(ExchangesRequest()), .createExchange(ExchangeRequest()),
            .server(ServerRequest()), .listConnections(ListConnectionsRequest()),
        ] + Self.defaultPrincipalRequests + Self.defaultOutboxRequests

    static let defaultReplies: [(Wire.Method, Reply)] =
        [
            (.hello, .hello(Welcome())), (.publish, .publish(PublishReply())),
            (.producer, .producer(ProducerReply())),
            (.acknowledge, .acknowledge(AcknowledgeReply())),
            (.grant, .grant(GrantReply())), (.stop, .stop(StopReply())),
            (.fetch, .fetch(Delivery())),
            (.seek, .seek(SeekReply())), (.pause, .pause(PauseReply())),
            (.forget, .forget(ForgetReply())), (.list, .list(ListReply())),
            (.listReceivers, .listReceivers(ListReceiversReply())),
            (.exchanges, .exchanges(ExchangesReply())),
            (.createExchange, .createExchange(ExchangeInfo())),
            (.server, .server(ServerReply())), (.listOutbox, .listOutbox(ListOutboxReply())),
            (.changeOutbox, .changeOutbox(ChangeOutboxReply())),
            (.restored, .restored(RestoredReply())),
            (.listConnections, .listConnections(ListConnectionsReply())),
        ] + Self.defaultPrincipalReplies

    /// One frame of every type.
    static var frames: [(name: String, frame: Frame)] {
        get throws {
            let requests = try Self.requests
            return [
                (
                    "request",
                    Frame(
                        .request, flags: FrameHeader.noReplyFlag, code: 22, stream: 0x0102_0304,
                        payload: encoded { requests[5].encode(into: &$0) })
                ),
                (
                    "response",
                    Frame(
                        .response, stream: 7,
                        payload: encoded { Self.replies[1].1.encode(into: &$0) })
                ),
                (
                    "data",
                    Frame(.data, stream: 9, payload: encoded { Self.delivery.encode(into: &$0) })
                ),
                (
                    "end",
                    Frame(
                        .end, code: 102, stream: 9,
                        payload: encoded { FailureMessage.encode(Self.failure, into: &$0) })
                ),
                ("cancel", Frame(.cancel, stream: 9)),
                ("ping", Frame(.ping, payload: [1, 2, 3, 4, 5, 6, 7, 8])),
                ("pong", Frame(.pong, payload: [1, 2, 3, 4, 5, 6, 7, 8])),
                (
                    "goaway",
                    Frame(
                        .goAway, code: 103,
                        payload: encoded {
                            FailureMessage.encode(Failure(.draining, "the server stops"), into: &$0)
                        })
                ),
            ]
        }
    }
}
