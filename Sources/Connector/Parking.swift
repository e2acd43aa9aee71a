package import Core

/// What a broker carries and Dormouse does not take is neither dropped nor allowed to hold up the rest: it is parked, as
/// an event of its own, under a key that begins with `error.` and with the reason in a header.
package enum Parking {
    package static let reasonHeader = "error-reason"
    package static let keyHeader = "error-key"
    package static let bytesHeader = "error-payload-bytes"

    /// The event and the bytes of its message; parked below `error.<place>` when it is refused, with the reason.
    package static func fit(
        _ event: Event, place: String, eventBytesMax: Int
    ) -> (event: Event, bytes: Int, reason: String?) {
        do throws(Failure) {
            return (
                event, try EncodedEvents.checkedBytes(event, eventBytesMax: eventBytesMax), nil
            )
        } catch {
            let parked = Self.park(event, error.message, place, eventBytesMax)
            return (parked.event, parked.bytes, error.message)
        }
    }

    private static func park(
        _ event: Event, _ reason: String, _ place: String, _ eventBytesMax: Int
    ) -> (event: Event, bytes: Int) {
        let own = [
            Header(name: Array(Self.reasonHeader.utf8), value: Array(reason.utf8)),
            Header(name: Array(Self.keyHeader.utf8), value: Array(event.key.prefix(255))),
            Header(
                name: Array(Self.bytesHeader.utf8), value: Array("\(event.payload.count)".utf8)),
        ]
        var parked = Event(
            key: Array("error.\(KeyText.words(place, bytesMax: 240))".utf8),
            payload: event.payload, id: Array(event.id.prefix(Limits.eventIDBytesMax)),
            contentType: event.contentType.count <= Limits.contentTypeBytesMax
                ? event.contentType : [])
        // Small headers only, and as much of the payload as there is room for: the reason says what is missing.
        var room = eventBytesMax / 4
        for header in event.headers.prefix(Limits.eventHeadersMax - own.count) {
            let bytes = header.name.count + header.value.count + 8
            guard (1...Limits.headerNameBytesMax).contains(header.name.count), bytes <= room else {
                continue
            }
            room -= bytes
            parked.headers.append(header)
        }
        parked.headers = own + parked.headers
        while true {
            do throws(Failure) {
                return (
                    parked, try EncodedEvents.checkedBytes(parked, eventBytesMax: eventBytesMax)
                )
            } catch {
                // The headers take a quarter and some, so half of the largest event is room enough.
                parked.payload = Array(parked.payload.prefix(eventBytesMax / 2))
                if parked.payload.count <= eventBytesMax / 2, parked.headers.count > own.count,
                    (try? EncodedEvents.checkedBytes(parked, eventBytesMax: eventBytesMax)) == nil
                {
                    parked.headers = own
                }
            }
        }
    }
}

/// Keys made of text that somebody else chose.
package enum KeyText {
    /// Words of allowed characters; everything else becomes `_`, and what is too long is cut.
    package static func words(_ text: String, bytesMax: Int = EventKey.bytesMax) -> String {
        let words = text.utf8.split(separator: EventKey.dot).map { word in
            String(
                decoding: word.map { EventKey.isWordByte($0) ? $0 : UInt8(ascii: "_") },
                as: UTF8.self)
        }
        var key = words.joined(separator: ".")
        if key.utf8.count > bytesMax {
            key = String(decoding: key.utf8.prefix(bytesMax), as: UTF8.self)
        }
        while key.hasSuffix(".") { key.removeLast() }
        return key.isEmpty ? "_" : key
    }
}

/// Names of producers made of text that somebody else chose: what is too long, or has other characters, is told apart by
/// a hash at its end.
package func producerName(_ parts: [String]) -> String {
    let text = parts.joined(separator: ":")
    if (try? Name(text)) != nil { return text }
    let allowed = text.utf8.map { byte in
        EventKey.isWordByte(byte) || byte == EventKey.dot || byte == UInt8(ascii: ":")
            ? byte : UInt8(ascii: "_")
    }
    return String(decoding: allowed.prefix(100), as: UTF8.self) + ":"
        + String(fingerprint(text.utf8), radix: 16)
}
