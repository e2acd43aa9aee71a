package import Core
import CLibMicrohttpd

/// Answers GET over plain HTTP, from threads of its own: libmicrohttpd's, one for each connection. It knows
/// paths and texts, nothing else.
///
/// `@unchecked Sendable`: `daemon` is written once, before anybody else has this object, and `answer` is Sendable.
package final class MetricsPage: @unchecked Sendable {
    package struct Answer: Sendable {
        package let status: UInt32
        package let contentType: String
        package let body: String

        package init(
            status: UInt32, contentType: String = "text/plain; charset=utf-8", body: String
        ) {
            self.status = status
            self.contentType = contentType
            self.body = body
        }
    }

    private let answer: @Sendable (String) -> Answer?
    private var daemon: OpaquePointer?

    /// Takes over `listening`, a socket that listens. `answer` is called for each request with its path, on the
    /// connection's own thread, so it may wait; nil: there is no such page.
    package init(
        listening: Int32, answer: @escaping @Sendable (String) -> Answer?
    ) throws(Failure) {
        self.answer = answer
        self.daemon = dormouse_http_start(
            listening, Self.handle, Unmanaged.passUnretained(self).toOpaque(),
            UInt32(Limits.pageConnectionsMax), UInt32(Limits.pageSecondsMax), Limits.pageMemoryMax)
        guard self.daemon != nil else {
            throw Failure(
                .unavailable,
                "the metrics page could not be started; check the limits of threads and open files")
        }
    }

    /// Ends all connections and threads, after the calls of `answer` that are under way. A second call does nothing.
    package func stop() {
        guard let daemon = self.daemon else { return }
        self.daemon = nil
        MHD_stop_daemon(daemon)
    }

    deinit { self.stop() }

    /// On the thread of the connection. Called once with the head of a request, and again when its body has come.
    private static let handle: MHD_AccessHandlerCallback = {
        context, connection, path, method, _, _, uploaded, seen in
        guard let context, let connection, let path, let method, let uploaded, let seen else {
            return dormouse_http_hang_up()
        }
        let page = Unmanaged<MetricsPage>.fromOpaque(context).takeUnretainedValue()
        guard ["GET", "HEAD"].contains(String(cString: method)) else {
            return send(Answer(status: 405, body: "only GET is answered\n"), connection)
        }
        guard seen.pointee != nil else {
            // Anything but nil: the head was seen.
            seen.pointee = context
            return dormouse_http_go_on()
        }
        // A body of a GET is of no interest.
        uploaded.pointee = 0
        return send(page.answer(String(cString: path)) ?? MetricsPage.nothing, connection)
    }

    private static let nothing = Answer(
        status: 404, body: "there are /metrics, /healthz and /readyz\n")

    private static func send(_ answer: Answer, _ connection: OpaquePointer) -> MHD_Result {
        let body = Array(answer.body.utf8)
        guard let response = dormouse_http_response(body, body.count) else {
            return dormouse_http_hang_up()
        }
        defer { MHD_destroy_response(response) }
        MHD_add_response_header(response, "Content-Type", answer.contentType)
        MHD_add_response_header(response, "Cache-Control", "no-store")
        return MHD_queue_response(connection, answer.status, response)
    }
}
