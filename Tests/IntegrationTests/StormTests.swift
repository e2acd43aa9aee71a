import Core
import Foundation
import PlainClient
import Testing
import Wire

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

extension Integration {
    @Suite(.serialized)
    struct StormTests {
        @Test func aThousandStormsOfBytesDisturbNobody() throws {
            var random = SeededNumbers.fresh(for: "storms of bytes")
            let bystander = try SharedServer.connect()
            let stream = try bystander.subscribe("bystander")
            let server = try SharedServer.server()
            for number in 1...1_000 {
                let connection = try RawConnection(server.address())
                try connection.send(self.storm(number, &random))
                connection.endSending()
                // Whatever it said, it was said in frames, and the connection has an end.
                while try connection.nextOrEnd() != nil {}
                connection.close()
                if number % 50 == 0 {
                    try bystander.publish("calm", "\(number)")
                    #expect(try bystander.payloads(1, on: stream) == ["\(number)"])
                }
            }
            #expect(server.child.isRunning)
            let memory = try server.memory()
            #expect(memory < 300 << 20)
        }

        private func storm(_ number: Int, _ random: inout SeededNumbers) -> [UInt8] {
            let noise = random.bytes(Int.random(in: 0...2_000, using: &random))
            switch number % 4 {
            case 0: return noise
            case 1: return Preface.bytes + noise
            case 2: return self.opening + self.frames(of: noise, &random)
            default: return self.mutated(&random)
            }
        }

        private var opening: [UInt8] {
            var bytes = Preface.bytes
            FrameEncoder.append(
                .hello(HelloRequest(client: Array("storm".utf8))), stream: StreamID(rawValue: 1),
                to: &bytes)
            return bytes
        }

        /// Good headers around bad payloads.
        private func frames(of noise: [UInt8], _ random: inout SeededNumbers) -> [UInt8] {
            var bytes: [UInt8] = []
            var rest = noise[...]
            var stream: UInt32 = 1
            while !rest.isEmpty {
                let count = min(rest.count, Int.random(in: 0...100, using: &random))
                stream += 1
                let method = Wire.Method.allCases.randomElement(using: &random) ?? .publish
                bytes += RawConnection.frame(
                    1, flags: UInt8(truncatingIfNeeded: random.next()), code: method.rawValue,
                    stream: stream, payload: Array(rest.prefix(count)))
                rest = rest.dropFirst(max(1, count))
            }
            return bytes
        }

        /// Good requests with some bytes changed, left out or put in.
        private func mutated(_ random: inout SeededNumbers) -> [UInt8] {
            var bytes: [UInt8] = []
            let requests = self.requests.shuffled(using: &random)
            for (index, request) in requests.enumerated() {
                let stream = StreamID(rawValue: UInt32(index) + 2)
                FrameEncoder.append(request, stream: stream, to: &bytes)
                if Bool.random(using: &random) {
                    FrameEncoder.append(.cancel, stream: stream, to: &bytes)
                }
            }
            for _ in 0...Int.random(in: 0...8, using: &random) {
                let place = Int.random(in: bytes.indices, using: &random)
                switch Int.random(in: 0...3, using: &random) {
                case 0: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
                case 1: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 2: bytes.remove(at: place)
                default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
                }
            }
            return self.opening + bytes
        }

        private var requests: [Request] {
            let exchange = Array("storm".utf8)
            let name = Array("storm-subscriber".utf8)
            let config = ReceiverConfigMessage(
                exchange: exchange, patterns: [Array("a.*".utf8)],
                headers: [HeaderMatchMessage(name: [65], kind: .exists)])
            var subscribe = SubscribeRequest(name: name)
            subscribe.config = config
            var events = EncodedEvents()
            // Its key is right, so it can be encoded.
            _ = try? events.append(Event("a.b", "storm", headers: [("A", "B")]), eventBytesMax: 999)
            return [
                .publish(
                    PublishRequest(exchange: exchange, producer: name, sequence: 1, events: events)),
                .producer(ProducerRequest(exchange: exchange, producer: name)),
                .subscribe(subscribe), .createExchange(ExchangeRequest(name: exchange)),
                .acknowledge(AcknowledgeRequest(stream: 4, upto: 1)),
                .grant(GrantRequest(stream: 4, events: 1, bytes: 1)),
                .stop(StopRequest(exchange: exchange, name: name)),
                .fetch(FetchRequest(config: config, waitMilliseconds: 5)),
                .seek(SeekRequest(exchange: exchange, name: name, start: .first)),
                .pause(PauseRequest(exchange: exchange, name: name)),
                .forget(ForgetRequest(exchange: exchange, name: name)),
                .list(ListRequest(exchange: exchange, namePrefix: [65], pageToken: [66])),
                .listReceivers(ListReceiversRequest(exchange: exchange)),
                .exchanges(ExchangesRequest()), .server(ServerRequest()),
            ]
        }
    }
}

extension RawConnection {
    /// Says that nothing more will be sent, and goes on reading.
    func endSending() {
        shutdown(self.descriptor, Int32(SHUT_WR))
    }
}
