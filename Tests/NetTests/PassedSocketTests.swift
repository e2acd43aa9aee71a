import Core
import Glibc
import Net
import Testing

extension NetTests {
    @Suite struct PassedSocketTests {
        @Test func theEnvironmentIsReadWhenItSpeaksToUs() throws {
            let environment = ["LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "client::"]
            let passed = try PassedSocket.all(in: environment, process: 7)
            #expect(passed.map(\.descriptor) == [3, 4, 5])
            #expect(passed.map(\.name) == ["client", "", ""])
            #expect(try PassedSocket.all(in: environment, process: 8).isEmpty)
            #expect(try PassedSocket.all(in: [:], process: 7).isEmpty)
            let unnamed = ["LISTEN_PID": "7", "LISTEN_FDS": "1"]
            #expect(try PassedSocket.all(in: unnamed, process: 7).map(\.description) == ["3"])
        }

        @Test(arguments: ["", "-1", "x", "65", "99999999999999999999"])
        func numbersThatCannotBeAreRefused(_ count: String) {
            let failure = #expect(throws: Failure.self) {
                try PassedSocket.all(in: ["LISTEN_PID": "7", "LISTEN_FDS": count], process: 7)
            }
            #expect(failure?.code == .invalidArgument)
        }

        @Test func whatDoesNotListenIsRefused() throws {
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            defer { for end in ends { close(end) } }
            let file = try #require(self.passed(ends[0]))
            #expect(throws: Failure.self) { try file.address() }
            let unbound = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(unbound) }
            let failure = #expect(throws: Failure.self) { try self.passed(unbound)?.address() }
            #expect(failure?.code == .failedPrecondition)
            #expect(failure?.message.contains("stream socket that listens") == true)
        }

        /// As if it were the last one that was passed.
        private func passed(_ descriptor: Int32) -> PassedSocket? {
            let environment = ["LISTEN_PID": "7", "LISTEN_FDS": "\(min(64, descriptor - 2))"]
            return try? PassedSocket.all(in: environment, process: 7)
                .first { $0.descriptor == descriptor }
        }
    }
}
