package import Core
import Net

extension MetricsPage {
    /// Listens at `address`, which only programs on this machine may reach: everybody may read the page. Also says where it is,
    /// with the port that was chosen.
    package static func listen(
        at address: String, answer: @escaping @Sendable (String) -> Answer?
    ) throws(Failure) -> (page: MetricsPage, name: String) {
        let parsed = try ListenAddress(parsing: address)
        guard case .tcp = parsed, parsed.isLocal else {
            throw Failure(
                .invalidArgument,
                "--metrics \(address) is reachable from elsewhere, and everybody may read that page; expected "
                    + "127.0.0.1:PORT or [::1]:PORT. Let something on this machine that checks who asks pass it on"
            )
        }
        let socket = try ListeningSocket(parsed)
        return (try MetricsPage(listening: socket.descriptor, answer: answer), socket.name)
    }
}
