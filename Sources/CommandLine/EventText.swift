import DormouseClient

/// An event as one line, for people and for programs.
enum EventText {
    enum Format {
        case json
        /// For people, with times of the user's zone or in UTC.
        case line(isUTC: Bool)

        /// In a pipe the same everywhere.
        init(_ invocation: Invocation, _ output: Output) {
            self =
                invocation.has("json") ? .json : .line(isUTC: Show(invocation, output).isUTC)
        }
    }

    /// With its end.
    static func append(_ event: LentEvent, as format: Format, to text: inout [UInt8]) {
        switch format {
        case .json: Self.appendJSON(event, to: &text)
        case .line(let isUTC): Self.appendLine(event, isUTC: isUTC, to: &text)
        }
        text.append(UInt8(ascii: "\n"))
    }

    /// Position, time, key and payload.
    static func appendLine(_ event: LentEvent, isUTC: Bool, to line: inout [UInt8]) {
        TimeText.append(event.position, to: &line)
        line += Self.gap
        if isUTC {
            TimeText.append(rfc3339: event.publishedAt, digits: 3, to: &line)
        } else {
            line += Array(TimeText.local(event.publishedAt, digits: 3).utf8)
        }
        line += Self.gap
        Text.appendPrintable(event.key, to: &line)
        line += Self.gap
        Text.appendPayload(event.payload, to: &line)
    }

    private static let gap: StaticString = "  "

    /// A JSON object that `publish --json-lines` reads. A payload is a string when it is UTF-8, the
    /// JSON value itself when its content type says that it is one, else `payload_base64`.
    static func appendJSON(_ event: LentEvent, to json: inout [UInt8]) {
        json += "{\"position\":"
        TimeText.append(event.position, to: &json)
        json += ",\"time\":\""
        TimeText.append(rfc3339: event.publishedAt, to: &json)
        json += "\",\"key\":"
        JSONText.append(event.key, to: &json)
        Self.appendPayload(of: event, to: &json)
        if !event.id.isEmpty {
            json += ",\"id\":"
            JSONText.appendRepaired(event.id, to: &json)
        }
        if !event.contentType.isEmpty {
            json += ",\"content_type\":"
            JSONText.appendRepaired(event.contentType, to: &json)
        }
        if event.headerCount > 0 { Self.appendHeaders(of: event, to: &json) }
        json.append(UInt8(ascii: "}"))
    }

    private static func appendPayload(of event: LentEvent, to json: inout [UInt8]) {
        let payload = event.payload
        guard UTF8Check.isValid(payload) else {
            json += ",\"payload_base64\":"
            return JSONText.append(Base64.encode(Array(payload)), to: &json)
        }
        json += ",\"payload\":"
        // A JSON string stays in quotes twice: published again, it must come out as it went in.
        guard event.contentType.elementsEqual("application/json".utf8),
            payload.first(where: { $0 > 0x20 }) != UInt8(ascii: "\""), Self.isJSON(payload)
        else { return JSONText.append(payload, to: &json) }
        // Line ends can only be white space here.
        for byte in payload { json.append(byte == 0x0A || byte == 0x0D ? 0x20 : byte) }
    }

    private static func isJSON(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var reader = JSONReader(Array(bytes))
        do throws(JSONProblem) {
            _ = try reader.value()
            try reader.expectEnd()
            return true
        } catch {
            return false
        }
    }

    /// A name that stands more than once has an array of values.
    private static func appendHeaders(of event: LentEvent, to json: inout [UInt8]) {
        var names: [[UInt8]] = []
        var values: [[UInt8]: [[UInt8]]] = [:]
        for index in 0..<event.headerCount {
            let header = event.header(index)
            let name = Array(header.name)
            if values[name] == nil { names.append(name) }
            values[name, default: []].append(Array(header.value))
        }
        json += ",\"headers\":{"
        for (index, name) in names.enumerated() {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            JSONText.appendRepaired(name, to: &json)
            json.append(UInt8(ascii: ":"))
            let all = values[name] ?? []
            if all.count > 1 { json.append(UInt8(ascii: "[")) }
            for (index, value) in all.enumerated() {
                if index > 0 { json.append(UInt8(ascii: ",")) }
                JSONText.appendRepaired(value, to: &json)
            }
            if all.count > 1 { json.append(UInt8(ascii: "]")) }
        }
        json.append(UInt8(ascii: "}"))
    }
}
