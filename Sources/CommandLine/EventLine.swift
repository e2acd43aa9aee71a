import Core

/// One line of `publish --json-lines`.
enum EventLine {
    private static let fields =
        "key, payload, payload_base64, id, id_base64, content_type, content_type_base64 and headers"

    /// Nil for a line of white space only. Throws what is wrong with it.
    static func event(_ line: [UInt8]) throws(JSONProblem) -> Event? {
        guard String(validating: line, as: UTF8.self) != nil else {
            throw JSONProblem(text: "it is not UTF-8", offset: 0)
        }
        var reader = JSONReader(line)
        guard reader.peek() != nil else { return nil }
        var event = Event(key: [])
        var seen: Set<[UInt8]> = []
        var isJSON = false
        try reader.object { reader, name throws(JSONProblem) in
            guard seen.insert(name).inserted else {
                throw reader.problem("'\(Text.printable(name))' stands twice")
            }
            try Self.take(name, &reader, &event, isJSON: &isJSON)
        }
        try reader.expectEnd()
        guard seen.contains(Array("key".utf8)) else {
            throw JSONProblem(text: "there is no 'key'", offset: 0)
        }
        if seen.contains(Array("payload".utf8)), seen.contains(Array("payload_base64".utf8)) {
            throw JSONProblem(text: "there is a payload and a payload_base64", offset: 0)
        }
        if isJSON, !seen.contains(Array("content_type".utf8)),
            !seen.contains(Array("content_type_base64".utf8))
        {
            event.contentType = Array("application/json".utf8)
        }
        return event
    }

    private static func take(
        _ name: [UInt8], _ reader: inout JSONReader, _ event: inout Event, isJSON: inout Bool
    ) throws(JSONProblem) {
        switch String(decoding: name, as: UTF8.self) {
        case "key": event.key = try reader.string()
        case "id": event.id = try reader.string()
        case "content_type": event.contentType = try reader.string()
        case "headers": event.headers = try Self.headers(&reader)
        case "payload":
            isJSON = reader.peek() != UInt8(ascii: "\"")
            event.payload = isJSON ? Array(reader.bytes[try reader.value()]) : try reader.string()
        case "payload_base64": event.payload = try Self.base64(&reader, "payload_base64")
        case "id_base64": event.id = try Self.base64(&reader, "id_base64")
        case "content_type_base64":
            event.contentType = try Self.base64(&reader, "content_type_base64")
        // Set by the server; here so that the output of `subscribe --json` can be published again.
        case "position", "time": _ = try reader.value()
        default:
            throw reader.problem(
                "'\(Text.printable(name))' is no field of an event; expected \(Self.fields)")
        }
    }

    private static func base64(
        _ reader: inout JSONReader, _ name: String
    ) throws(JSONProblem) -> [UInt8] {
        guard let bytes = Base64.decode(try reader.string()) else {
            throw reader.problem("the \(name) is not base64")
        }
        return bytes
    }

    /// A string, or an object with its bytes in base64.
    private static func bytes(_ reader: inout JSONReader) throws(JSONProblem) -> [UInt8] {
        guard reader.peek() == UInt8(ascii: "{") else { return try reader.string() }
        var bytes: [UInt8] = []
        try reader.object { reader, name throws(JSONProblem) in
            guard name.elementsEqual("base64".utf8) else {
                throw reader.problem("a string or {\"base64\": …} is expected")
            }
            bytes = try Self.base64(&reader, "base64")
        }
        return bytes
    }

    /// Pairs of name and value, in this order.
    private static func pairs(_ reader: inout JSONReader) throws(JSONProblem) -> [Header] {
        var headers: [Header] = []
        try reader.array { reader throws(JSONProblem) in
            var pair: [[UInt8]] = []
            try reader.array { reader throws(JSONProblem) in
                pair.append(try Self.bytes(&reader))
            }
            guard pair.count == 2 else { throw reader.problem("a pair is expected") }
            headers.append(Header(name: pair[0], value: pair[1]))
        }
        return headers
    }

    private static func headers(_ reader: inout JSONReader) throws(JSONProblem) -> [Header] {
        if reader.peek() == UInt8(ascii: "[") { return try Self.pairs(&reader) }
        var headers: [Header] = []
        try reader.object { reader, name throws(JSONProblem) in
            guard reader.peek() == UInt8(ascii: "[") else {
                headers.append(Header(name: name, value: try reader.string()))
                return
            }
            try reader.array { reader throws(JSONProblem) in
                headers.append(Header(name: name, value: try reader.string()))
            }
        }
        return headers
    }
}
