import Foundation
import Testing
import Wire

/// docs/principals.md says of every method what it needs.
@Suite struct PrincipalDocumentTests {
    @Test func everyMethodIsInTheTable() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("docs/principals.md").path
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let start = try #require(text.range(of: "| method | needs |"))
        var methods: [String] = []
        for line in text[start.upperBound...].split(separator: "\n").dropFirst(2) {
            guard line.hasPrefix("| ") else { break }
            let cell = line.dropFirst(2).prefix { $0 != "|" }
            methods += cell.split(separator: ",").map {
                $0.trimmingCharacters(in: .whitespaces)
            }
        }
        #expect(methods.sorted() == Wire.Method.allCases.map(\.name).sorted())
    }

    /// The service in dormouse.proto has the methods that the server authorises, and no others.
    @Test func everyMethodOfTheServiceIsOne() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("proto/dormouse.proto").path
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let rpcs = text.split(separator: "\n").compactMap { line -> String? in
            let words = line.split(separator: " ")
            guard words.first == "rpc", words.count > 1, let number = words.last else { return nil }
            return "\(words[1]) \(number)"
        }
        #expect(rpcs == Wire.Method.allCases.map { "\($0.name) \($0.rawValue)" })
    }
}
