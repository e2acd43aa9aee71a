import Foundation
import Testing

@testable import CommandLine

struct CompletionTests {
    private func words(_ typed: String...) -> [String] {
        let answer = Completion.answer(typed) { kind, invocation in
            switch kind {
            case .subscription: ["billing", "mail:eu", "mailer"]
            case .exchange: ["main", "\(invocation?.value("exchange") ?? "orders")"]
            case .context: ["prod"]
            case .anything, .file, .words: []
            }
        }
        switch answer {
        case .files: return [":file"]
        case .candidates(let candidates): return candidates.map(\.word)
        }
    }

    @Test func theFirstWordIsACommandOrANoun() {
        #expect(self.words("sub") == ["subscribe", "subscriptions"])
        #expect(self.words("st") == ["state"])
        #expect(self.words("--ser") == ["--server"])
        #expect(self.words("--server", "x", "fe") == ["fetch"])
        #expect(!self.words("").contains { $0.hasPrefix("__") })
    }

    @Test func behindANounStandsAVerb() {
        #expect(self.words("subscriptions", "p") == ["pause"])
        #expect(self.words("exchanges", "") == ["list", "create"])
    }

    @Test func namesComeFromTheServer() {
        #expect(self.words("subscriptions", "stop", "mail") == ["mail:eu", "mailer"])
        #expect(self.words("stop", "b") == ["billing"])
        #expect(self.words("stop", "billing", "") == [])
        #expect(self.words("--context", "") == ["prod"])
        #expect(self.words("state", "--exchange", "m") == ["main"])
        #expect(self.words("state", "--exchange=m") == ["--exchange=main"])
    }

    @Test func optionsThatWereGivenAreNotOfferedAgain() {
        #expect(self.words("subscriptions", "list", "--j") == ["--json"])
        #expect(self.words("subscriptions", "list", "--json", "--j") == [])
        #expect(self.words("subscribe", "x", "--pattern", "a", "--pat") == ["--pattern"])
    }

    @Test func valuesThatAreWordsAreOffered() {
        #expect(self.words("subscribe", "x", "--from", "n") == ["next"])
        #expect(self.words("completion", "") == ["bash", "zsh", "fish"])
        #expect(self.words("publish", "key", "") == [":file"])
    }

    @Test func nonsenseIsAnsweredWithNothing() {
        #expect(self.words("nonsense", "x") == [])
        #expect(self.words("state", "--nonsense", "--nonsense=") == [])
    }
}

struct ManualTests {
    @Test func theManualPageIsTheOneOfTheTable() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("docs/man/dormouse.1")
        let page = try String(contentsOf: path, encoding: .utf8)
        #expect(
            page == Manual.lines.joined(separator: "\n") + "\n",
            "run 'make manual' and commit docs/man/dormouse.1")
    }
}
