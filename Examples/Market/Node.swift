import EventWorker
import Foundation
import WorkerCommands

/// A full node's REST interface: events of a handle, page by page. Source: the Aptos node API, version 1.
final class Node {
    /// An event as the node tells it.
    struct NodeEvent {
        let sequence: UInt64
        /// The whole object, as JSON.
        let json: [UInt8]
    }

    /// The node does not have these any more.
    struct Pruned: Error, CustomStringConvertible {
        let description: String
    }

    /// It answers something else than the API says; to ask again would not help.
    struct WrongAnswer: Error, CustomStringConvertible {
        let description: String
    }

    /// The largest page that nodes give. Source: `max_events_page_size` of the node's configuration.
    static let pageMax = 100

    /// The first one is asked until it fails, then the next.
    private let urls: [String]
    private var asked = 0
    private let http: HTTP
    private let stop: StopSignal
    /// How often the node was asked in vain since it last answered.
    private var failures = 0
    private let pause = BackOff(first: 100, most: 10_000)

    /// - Parameter urls: one, or several of the same chain with commas; with or without `/v1`.
    init(_ urls: String, milliseconds: Int, until stop: StopSignal) throws {
        self.urls = urls.split(separator: ",").map { url in
            var url = url
            while url.hasSuffix("/") { url.removeLast() }
            return url.hasSuffix("/v1") ? String(url) : url + "/v1"
        }
        guard !self.urls.isEmpty else { throw UsageError("--node is empty: which node?") }
        self.http = try HTTP(milliseconds: milliseconds)
        self.stop = stop
    }

    /// At most a page of events, ascending, from `start` on; nil: the newest ones. Waits for as long as the
    /// node is away or wants to be left alone; nil when the signal was raised meanwhile.
    func events(_ handle: Handle, start: UInt64?, limit: Int = Node.pageMax) throws -> [NodeEvent]?
    {
        let query = (start.map { "start=\($0)&" } ?? "") + "limit=\(limit)"
        let path =
            "/accounts/\(HTTP.escaped(handle.account))/events/\(HTTP.escaped(handle.type))/"
            + "\(HTTP.escaped(handle.field))?\(query)"
        guard let answer = try self.get(path) else { return nil }
        guard let array = answer as? [[String: Any]] else {
            throw WrongAnswer(description: "the node's answer to \(path) is no list of events")
        }
        return try array.map { object in
            guard let text = object["sequence_number"] as? String, let sequence = UInt64(text)
            else {
                throw WrongAnswer(
                    description:
                        "the node's answer to \(path) has an event without sequence_number")
            }
            let json = try JSONSerialization.data(
                withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
            return NodeEvent(sequence: sequence, json: Array(json))
        }
    }

    /// How many events a handle has had; nil: the node does not say.
    func count(_ handle: Handle) throws -> UInt64? {
        let path = "/accounts/\(HTTP.escaped(handle.account))/resource/\(HTTP.escaped(handle.type))"
        guard let object = try self.get(path) as? [String: Any],
            let data = object["data"] as? [String: Any],
            let field = data[handle.field] as? [String: Any],
            let counter = field["counter"] as? String
        else { return nil }
        return UInt64(counter)
    }

    /// The oldest event that the node still has, from `start` on; found by halving.
    func oldest(_ handle: Handle, from start: UInt64) throws -> UInt64? {
        guard let page = try self.events(handle, start: nil, limit: 1) else { return nil }
        // Nothing is left at all: the next one is the oldest.
        guard let newest = page.last else { return try self.count(handle) }
        var (low, high) = (start, newest.sequence)
        while low < high {
            let middle = low + (high - low) / 2
            do {
                guard try self.events(handle, start: middle, limit: 1) != nil else { return nil }
                high = middle
            } catch is Pruned {
                low = middle + 1
            }
        }
        return low
    }

    /// What the answer's JSON holds; nil: the signal was raised.
    private func get(_ path: String) throws -> Any? {
        var forgetful: Set<Int> = []
        while !self.stop.isRaised {
            let reason: String
            var retryAfter = 0
            do {
                let answer = try self.http.get(self.urls[self.asked] + path)
                switch answer.status {
                case 200:
                    if let object = try? JSONSerialization.jsonObject(with: Data(answer.body)) {
                        self.failures = 0
                        return object
                    }
                    // Something on the way answered for the node.
                    reason = "the node's answer is no JSON"
                case 410:
                    forgetful.insert(self.asked)
                    guard forgetful.count == self.urls.count else {
                        // Another one may be an archive.
                        self.asked = (self.asked + 1) % self.urls.count
                        continue
                    }
                    throw Pruned(
                        description:
                            "the node has pruned what \(path) asks for; name an archive node "
                            + "with --node, or go on with what is left with --skip-pruned")
                case 429, 500...599:
                    reason = "the node answers \(answer.status)"
                    retryAfter = answer.retryAfter
                default:
                    let text = String(decoding: answer.body.prefix(300), as: UTF8.self)
                    throw UsageError(
                        "the node answers \(answer.status) to \(path): \(Listing.line(text))")
                }
            } catch let away as HTTP.Away {
                reason = away.description
            }
            self.failures += 1
            self.asked = (self.asked + 1) % self.urls.count
            let own = self.pause.milliseconds(
                after: self.failures, luck: Double.random(in: 0..<1))
            // An hour is more than any limit asks for; a larger number is a mistake.
            let asked = Int64(min(retryAfter, 3_600)) * 1_000
            Program.log("market: \(reason), asking again in \(max(own, asked)) ms")
            _ = self.stop.wait(milliseconds: max(own, asked))
        }
        return nil
    }
}

/// A stream of events of an account: a field of a resource.
struct Handle: Hashable, Sendable {
    let account: String
    /// Such as `0xb9::FixedMarket::FixedMarketEvents`.
    let type: String
    let field: String
}
