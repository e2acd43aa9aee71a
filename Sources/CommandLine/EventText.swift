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
    ///
    /// JSON has no bytes: what is not UTF-8 in an id or a header becomes U+FFFD, unless `isExact`: then
    /// it is in base64, and what is read back is the same event.
    static func appendJSON(
        _ event: LentEvent, isExact: Bool = false, hasPosition: Bool = true, to json: inout [UInt8]
    ) {
        json += "{"
        if hasPosition {
            json += "\"position\":"
            TimeText.append(event.position, to: &json)
            json += ",\"time\":\""
            TimeText.append(rfc3339: event.publishedAt, to: &json)
            json += "\","
        }
        json += "\"key\":"
        JSONText.append(event.key, to: &json)
        Self.appendPayload(of: event, isExact: isExact, to: &json)
        Self.append(event.id, "id", isExact: isExact, to: &json)
        Self.append(event.contentType, "content_type", isExact: isExact, to: &json)
        if event.headerCount > 0 {
            if isExact, !Self.isSimple(event) {
                Self.appendExactHeaders(of: event, to: &json)
            } else {
                Self.appendHeaders(of: event, to: &json)
            }
        }
        json.append(UInt8(ascii: "}"))
    }

    private static func append(
        _ bytes: UnsafeRawBufferPointer, _ name: StaticString, isExact: Bool,
        to json: inout [UInt8]
    ) {
        if bytes.isEmpty { return }
        json += ",\""
        json += name
        if isExact, !UTF8Check.isValid(bytes) {
            json += "_base64\":"
            return JSONText.append(Base64.encode(Array(bytes)), to: &json)
        }
        json += "\":"
        JSONText.appendRepaired(bytes, to: &json)
    }

    private static func appendPayload(
        of event: LentEvent, isExact: Bool, to json: inout [UInt8]
    ) {
        let payload = event.payload
        guard UTF8Check.isValid(payload) else {
            json += ",\"payload_base64\":"
            return JSONText.append(Base64.encode(Array(payload)), to: &json)
        }
        json += ",\"payload\":"
        // A JSON string stays in quotes twice: published again, it must come out as it went in.
        guard event.contentType.elementsEqual("application/json".utf8),
            payload.first(where: { $0 > 0x20 }) != UInt8(ascii: "\""),
            !isExact || Self.isOneTrimmedLine(payload), Self.isJSON(payload)
        else { return JSONText.append(payload, to: &json) }
        // Line ends can only be white space here.
        for byte in payload { json.append(byte == 0x0A || byte == 0x0D ? 0x20 : byte) }
    }

    private static func isOneTrimmedLine(_ payload: UnsafeRawBufferPointer) -> Bool {
        (payload.first ?? 0) > 0x20 && (payload.last ?? 0) > 0x20
            && !payload.contains { $0 == 0x0A || $0 == 0x0D }
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

    /// An object can hold these headers without losing anything: all is UTF-8, and headers of the same
    /// name stand together.
    private static func isSimple(_ event: LentEvent) -> Bool {
        var names: [[UInt8]] = []
        for index in 0..<event.headerCount {
            let header = event.header(index)
            guard UTF8Check.isValid(header.name), UTF8Check.isValid(header.value) else {
                return false
            }
            if names.last?.elementsEqual(header.name) != true { names.append(Array(header.name)) }
        }
        return Set(names).count == names.count
    }

    /// `[["name","value"],[{"base64":"…"},"value"]]`
    private static func appendExactHeaders(of event: LentEvent, to json: inout [UInt8]) {
        json += ",\"headers\":["
        for index in 0..<event.headerCount {
            let header = event.header(index)
            json += index > 0 ? ",[" : "["
            Self.appendExact(header.name, to: &json)
            json += ","
            Self.appendExact(header.value, to: &json)
            json += "]"
        }
        json += "]"
    }

    private static func appendExact(_ bytes: UnsafeRawBufferPointer, to json: inout [UInt8]) {
        if UTF8Check.isValid(bytes) { return JSONText.append(bytes, to: &json) }
        json += "{\"base64\":"
        JSONText.append(Base64.encode(Array(bytes)), to: &json)
        json += "}"
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
