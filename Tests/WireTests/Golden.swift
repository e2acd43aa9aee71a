import Core
import Foundation
import Testing
import Wire

/// The golden bytes: see Tests/Golden/README.md.
enum Golden {
    static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Golden")

    static func read(_ name: String) throws -> [UInt8] {
        let text = try String(
            contentsOf: Self.folder.appendingPathComponent(name + ".hex"), encoding: .utf8)
        var bytes: [UInt8] = []
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            for word in line.split(separator: " ") {
                bytes.append(try #require(UInt8(word, radix: 16), "'\(word)' in \(name).hex"))
            }
        }
        return bytes
    }

    static var names: Set<String> {
        get throws {
            let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
            return Set(files.filter { $0.hasSuffix(".hex") }.map { String($0.dropLast(4)) })
        }
    }
}

@Suite struct GoldenTests {
    @Test func everyRequestIsItsGoldenBytesInBothDirections() throws {
        for request in try Samples.requests {
            let golden = try Golden.read("request-\(request.method.name)")
            #expect(encoded { request.encode(into: &$0) } == golden, "\(request.method)")
            #expect(try decodeRequest(request.method, golden) == request)
        }
    }

    @Test func everyReplyIsItsGoldenBytesInBothDirections() throws {
        for (method, reply) in Samples.replies {
            let golden = try Golden.read("reply-\(method.name)")
            #expect(encoded { reply.encode(into: &$0) } == golden, "\(method)")
            #expect(try decodeReply(method, golden) == reply)
        }
    }

    @Test func aFailureIsItsGoldenBytesInBothDirections() throws {
        let golden = try Golden.read("failure")
        #expect(encoded { FailureMessage.encode(Samples.failure, into: &$0) } == golden)
        let decoded = golden.withUnsafeBytes {
            FailureMessage.decode(code: 102, payload: $0, arena: Arena())
        }
        #expect(decoded == Samples.failure)
    }

    @Test func everyFrameIsItsGoldenBytesInBothDirections() throws {
        for (name, frame) in try Samples.frames {
            let golden = try Golden.read("frame-\(name)")
            #expect(frame.encoded == golden, "\(name)")
            var decoder = FrameDecoder(payloadBytesMax: 1 << 20)
            var decoded: [Frame] = []
            _ = try golden.withUnsafeBytes { bytes in
                try decoder.decode(bytes) { header, payload in
                    decoded.append(Frame(header: header, payload: payload))
                    return .next
                }
            }
            #expect(decoded == [frame])
        }
    }

    @Test func thePrefaceIsItsGoldenBytes() throws {
        let golden = try Golden.read("preface")
        #expect(Preface.bytes == golden)
        var decoder = PrefaceDecoder()
        #expect(golden.withUnsafeBytes { decoder.push($0) } == .complete(consumed: 8))
    }

    @Test func everyGoldenFileIsReadByATest() throws {
        var expected: Set<String> = ["failure", "preface"]
        expected.formUnion(try Samples.requests.map { "request-\($0.method.name)" })
        expected.formUnion(Samples.replies.map { "reply-\($0.0.name)" })
        expected.formUnion(try Samples.frames.map { "frame-\($0.name)" })
        #expect(try Golden.names == expected)
    }
}
