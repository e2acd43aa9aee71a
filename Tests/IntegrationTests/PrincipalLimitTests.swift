import Core
import Foundation
import PlainClient
import Testing
import Wire

extension Integration {
    /// What one principal may have of the server, while another one has its part.
    @Suite(.serialized)
    struct PrincipalLimitTests {
        @Test func aPrincipalHasTwoHundredConnections() throws {
            try withGuarded { guarded in
                let greedy = try guarded.add("greedy", PrincipalGrant(.publish, "main"))
                let calm = try guarded.add(
                    "calm", PrincipalGrant(.publish, "main"), PrincipalGrant(.subscribe, "main"))
                let bystander = try guarded.connect(calm)
                let stream = try bystander.subscribe("calm")
                var all = try (0..<200).map { _ in try guarded.connect(greedy) }
                for round in 1...5 {
                    let refusal = try guarded.refusal(greedy)
                    #expect(refusal.code == .resourceExhausted)
                    #expect(refusal.message.contains("already has 200 connections"))
                    #expect(refusal.message.contains("--connections-per-principal"))
                    try bystander.publish("a", "\(round)")
                    #expect(try bystander.payloads(1, on: stream) == ["\(round)"])
                    try guarded.connect(calm).close()
                }
                // Those that are there go on; when one goes, another one may come.
                try all[0].publish("a", "6")
                all[1].close()
                all[2].close()
                try eventually("there is room for another one") {
                    guard let client = try? guarded.connect(greedy) else { return false }
                    all.append(client)
                    return true
                }
                let revoke = RevokePrincipalRequest(name: Array("greedy".utf8))
                #expect(try guarded.change(.revokePrincipal(revoke)).principal.connections == 199)
                for client in all { client.close() }
                // The server's own user is never kept out.
                _ = try TestClient(guarded.unix).serverReply()
            }
        }

        private func held(_ page: String) throws -> Int? {
            let line = try Page.get(page, "/metrics").body.split(separator: "\n")
                .first { $0.hasPrefix("dormouse_replays_held ") }
            return line?.split(separator: " ").last.flatMap { Int($0) }
        }

        @Test func aPrincipalReadsFourPagesAtOnceAndOthersDoNotWaitForTheRest() throws {
            // Pages are read from the log, and not kept.
            let flags = [
                "--tail-bytes", "0", "--merge-ms", "0", "--page-bytes", "1024", "--replay-bytes",
                "4096", "--metrics", "127.0.0.1:0",
            ]
            try withGuarded(flags) { guarded in
                let page = try Page.base(of: guarded.server.child)
                for round in 0..<40 {
                    try guarded.administrator.publish(
                        (0..<10).map { Event("a", "\(round * 10 + $0)") })
                }
                let token = try guarded.add("greedy", PrincipalGrant(.subscribe, "main"))
                let calmToken = try guarded.add("calm", PrincipalGrant(.subscribe, "main"))
                let early = try guarded.connect(calmToken)
                _ = try early.subscribe("calm", from: .first)
                early.close()
                let calm = try guarded.connect(calmToken)
                // Each begins at a page of its own.
                let maker = try guarded.connect(token)
                for number in 0..<20 {
                    var request = maker.subscribeRequest("greedy-\(number)")
                    request.start = .position
                    request.startValue = UInt64(number) * 20 + 1
                    _ = try maker.subscribe(request)
                }
                maker.close()
                try eventually("they sleep") {
                    try guarded.administrator.list(prefix: "greedy").subscriptions.count {
                        $0.state == .sleeping
                    } == 20
                }
                let greedy = try guarded.connect(token)
                let lock = try TableLock("chunk", of: guarded.database)
                defer { lock.destroy() }
                let streams = try (0..<20).map { try greedy.subscribe("greedy-\($0)") }
                // Four have asked, and a few find what they want in memory.
                var before: Int?
                let waiting = try eventually("most wait, and no more come") { () -> Int? in
                    let now = try self.held(page)
                    defer { before = now }
                    return now.flatMap { (10...16).contains($0) && $0 == before ? $0 : nil }
                }
                let fetch = try greedy.client.sendRequest(
                    .fetch(FetchRequest(config: greedy.config([]), after: 5)))
                try eventually("so does a fetch") { try self.held(page) == waiting + 1 }
                let stream = try calm.subscribe("calm")
                #expect(try self.held(page) == waiting + 1)
                try lock.release()
                #expect(try calm.events(400, on: stream).count == 400)
                for (number, stream) in streams.enumerated() {
                    let count = 400 - number * 20
                    #expect(try greedy.events(count, on: stream).count == count)
                }
                guard case .success = try greedy.answer(to: fetch) else {
                    throw Problem("the fetch was refused")
                }
                try eventually("nobody waits") { try self.held(page) == 0 }
            }
        }
    }
}
