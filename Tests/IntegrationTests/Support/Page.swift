import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A page that a server shows over HTTP.
struct Page {
    let status: Int
    let contentType: String
    let body: String

    /// Where a server with `--metrics` has its pages.
    static func base(of child: Child) throws -> String {
        try eventually("the server says where its page is") {
            guard let begin = child.output.range(of: "metrics on "),
                let end = child.output.range(
                    of: "/metrics\n", range: begin.upperBound..<child.output.endIndex)
            else { return nil }
            return String(child.output[begin.upperBound..<end.lowerBound])
        }
    }

    /// Asks for `path` of the server at `base`, such as `http://127.0.0.1:9673`. `method` and `head` are sent as they are.
    static func get(_ base: String, _ path: String, method: String = "GET") throws -> Page {
        let port = base.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
        let descriptor = try Sockets.connect(port: port)
        defer { close(descriptor) }
        let request = Array(
            "\(method) \(path) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".utf8)
        guard write(descriptor, request, request.count) == request.count else {
            throw Problem("the request cannot be sent")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { throw Problem("no answer: '\(text)'") }
        let head = text[..<end.lowerBound].components(separatedBy: "\r\n")
        let type = head.first { $0.lowercased().hasPrefix("content-type:") }
        return Page(
            status: Int(head[0].split(separator: " ").dropFirst().first ?? "") ?? 0,
            contentType: type.map { String($0.dropFirst(14)) } ?? "",
            body: String(text[end.upperBound...]))
    }
}

/// Samples of Prometheus' text format.
struct Samples {
    /// By name with labels, as written.
    private(set) var values: [String: Double] = [:]
    /// Metrics in order, with their kinds and help.
    private(set) var metrics: [(name: String, kind: String, help: String)] = []

    init(_ text: String) throws {
        var help = ""
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            if line.hasPrefix("# HELP ") {
                help = words[3]
            } else if line.hasPrefix("# TYPE ") {
                self.metrics.append((words[2], words[3], help))
            } else {
                guard let space = line.lastIndex(of: " "),
                    let value = Double(line[line.index(after: space)...])
                else { throw Problem("not a sample: \(line)") }
                self.values[String(line[..<space])] = value
            }
        }
    }

    subscript(sample: String) -> Double? { self.values[sample] }
}
