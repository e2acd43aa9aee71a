import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// Limits hold when everybody comes at once, while rows are still being written.
    @Suite(.serialized)
    struct LimitTests {
        @Test func manyRequestsAtOnceDoNotPassALimit() throws {
            try withServer(["--exchanges", "5", "--subscribers", "7"]) { server, database in
                let client = try TestClient(server.address())
                let creations = try (0..<50).map { number in
                    try client.client.sendRequest(
                        .createExchange(ExchangeRequest(name: Array("e\(number)".utf8))))
                }
                var refused = 0
                for stream in creations {
                    guard case .failure(let failure) = try client.answer(to: stream) else {
                        continue
                    }
                    #expect(failure.code == .resourceExhausted)
                    refused += 1
                }
                // With `main` they are five.
                #expect(refused == 46)
                #expect(try database.number("SELECT count(*) FROM dormouse.exchange") == 5)

                let subscriptions = try (0..<40).map { number in
                    try client.client.sendRequest(
                        .subscribe(client.subscribeRequest("s\(number)")))
                }
                var ended = 0
                for stream in subscriptions {
                    if case .end(_, let failure) = try client.frame(on: stream) {
                        #expect(failure.code == .resourceExhausted)
                        ended += 1
                    }
                }
                #expect(ended == 33)
                #expect(try database.number("SELECT count(*) FROM dormouse.subscriber") == 7)
                client.close()
            }
        }
    }
}
