import Core

/// An event as one line, for people and for programs.
enum EventText {
    /// Position, time, key and payload.
    static func line(_ event: Event) -> [UInt8] {
        let time = TimeText.rfc3339(event.publishedAt.rawValue, digits: 3)
        let key = Text.printable(event.key)
        return Array("\(event.position)  \(time)  \(key)  \(Text.payload(event.payload))".utf8)
    }

    /// A JSON object that `publish --json-lines` reads. A payload is a string when it is UTF-8, the
    /// JSON value itself when its content type says that it is one, else `payload_base64`.
    static func json(_ event: Event) -> [UInt8] {
        var json = Array(
            "{\"position\":\(event.position),\"time\":\"".utf8)
        json += Array(TimeText.rfc3339(event.publishedAt.rawValue).utf8)
        json += Array("\",\"key\":".utf8)
        JSONText.append(event.key, to: &json)
        Self.appendPayload(of: event, to: &json)
        for (name, value) in [("id", event.id), ("content_type", event.contentType)]
        where !value.isEmpty {
            json += Array(",\"\(name)\":".utf8)
            JSONText.append(Self.repaired(value), to: &json)
        }
        if !event.headers.isEmpty { Self.append(event.headers, to: &json) }
        json.append(UInt8(ascii: "}"))
        return json
    }

    private static func appendPayload(of event: Event, to json: inout [UInt8]) {
        let payload = event.payload
        guard String(validating: payload, as: UTF8.self) != nil else {
            json += Array(",\"payload_base64\":".utf8)
            return JSONText.append(Base64.encode(payload), to: &json)
        }
        json += Array(",\"payload\":".utf8)
        // A JSON string stays in quotes twice: published again, it must come out as it went in.
        guard event.contentType.elementsEqual("application/json".utf8), Self.isJSON(payload),
            payload.first(where: { $0 > 0x20 }) != UInt8(ascii: "\"")
        else { return JSONText.append(payload, to: &json) }
        // Line ends can only be white space here.
        json += payload.map { $0 == 0x0A || $0 == 0x0D ? 0x20 : $0 }
    }

    private static func isJSON(_ bytes: [UInt8]) -> Bool {
        var reader = JSONReader(bytes)
        do throws(JSONProblem) {
            _ = try reader.value()
            try reader.expectEnd()
            return true
        } catch {
            return false
        }
    }

    /// A name that stands more than once has an array of values.
    private static func append(_ headers: [Header], to json: inout [UInt8]) {
        var names: [[UInt8]] = []
        var values: [[UInt8]: [[UInt8]]] = [:]
        for header in headers {
            if values[header.name] == nil { names.append(header.name) }
            values[header.name, default: []].append(header.value)
        }
        json += Array(",\"headers\":{".utf8)
        for (index, name) in names.enumerated() {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            JSONText.append(Self.repaired(name), to: &json)
            json.append(UInt8(ascii: ":"))
            let all = values[name] ?? []
            if all.count > 1 { json.append(UInt8(ascii: "[")) }
            for (index, value) in all.enumerated() {
                if index > 0 { json.append(UInt8(ascii: ",")) }
                JSONText.append(Self.repaired(value), to: &json)
            }
            if all.count > 1 { json.append(UInt8(ascii: "]")) }
        }
        json.append(UInt8(ascii: "}"))
    }

    /// JSON has no bytes: what is not UTF-8 in an id or a header becomes U+FFFD.
    private static func repaired(_ bytes: [UInt8]) -> [UInt8] {
        Array(String(decoding: bytes, as: UTF8.self).utf8)
    }
}
