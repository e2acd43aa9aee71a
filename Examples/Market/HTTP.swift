import CCurl

/// A GET over HTTP or HTTPS, one after the other on a connection that is kept.
final class HTTP {
    struct Answer {
        let status: Int
        let body: [UInt8]
        /// Seconds that the server asks to wait; 0: it does not.
        let retryAfter: Int
    }

    /// No answer came.
    struct Away: Error, CustomStringConvertible {
        let description: String
    }

    /// A page of 100 events of 10 KB is 1 MB; whoever sends more than this is no node.
    private static let bodyBytesMax = 16 << 20

    private let curl: UnsafeMutableRawPointer
    private let sink = Sink()

    private final class Sink {
        var bytes: [UInt8] = []
    }

    /// - Parameter milliseconds: how long a whole request may take.
    init(milliseconds: Int) throws {
        guard let curl = curl_easy_init() else { throw Away(description: "libcurl has no memory") }
        self.curl = curl
        let numbers: [(CURLoption, Int)] = [
            (CURLOPT_TIMEOUT_MS, milliseconds), (CURLOPT_CONNECTTIMEOUT_MS, 5_000),
            // Timeouts must not be made with signals.
            (CURLOPT_NOSIGNAL, 1),
        ]
        for (option, number) in numbers {
            try Self.check(dormouse_curl_set_number(curl, option, number))
        }
        try Self.check(dormouse_curl_set_text(curl, CURLOPT_PROTOCOLS_STR, "http,https"))
        try Self.check(
            dormouse_curl_set_sink(
                curl,
                { bytes, size, count, context in
                    // Within `curl_easy_perform`, on its thread. Anything but the whole count ends the request.
                    guard let bytes, let context else { return 0 }
                    let sink = Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue()
                    guard sink.bytes.count + size * count <= HTTP.bodyBytesMax else { return 0 }
                    sink.bytes += UnsafeRawBufferPointer(start: bytes, count: size * count)
                    return size * count
                }, Unmanaged.passUnretained(self.sink).toOpaque()))
    }

    deinit {
        curl_easy_cleanup(self.curl)
    }

    /// Throws `Away` when no whole answer came.
    func get(_ url: String) throws -> Answer {
        self.sink.bytes = []
        try Self.check(dormouse_curl_set_text(self.curl, CURLOPT_URL, url))
        try Self.check(curl_easy_perform(self.curl))
        return Answer(
            status: dormouse_curl_status(self.curl), body: self.sink.bytes,
            retryAfter: max(0, dormouse_curl_retry_after(self.curl)))
    }

    private static func check(_ code: CURLcode) throws {
        guard code == CURLE_OK else {
            throw Away(description: String(cString: curl_easy_strerror(code)))
        }
    }

    /// With everything that means something in a URL written as %XX.
    static func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || "-._~:".utf8.contains(byte)
            if isPlain { return String(UnicodeScalar(byte)) }
            return "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }.joined()
    }
}
