import Core
import DormouseClient
import Foundation
import Testing

@testable import CommandLine

struct JSONTests {
    @Test func stringsAreEscapedWhereTheyMustBe() {
        #expect(JSONText.quoted("a\"b\\c\n\t\r\u{1}\u{7F}é/") == #""a\"b\\c\n\t\r\u0001\u007fé/""#)
    }

    @Test func whatIsWrittenIsReadBack() throws {
        for text in ["", "plain", "q\" b\\ \n\u{0}\u{1F}", "é 🐭 \u{10FFFF}"] {
            var reader = JSONReader(Array(JSONText.quoted(text).utf8))
            #expect(try String(decoding: reader.string(), as: UTF8.self) == text)
            try reader.expectEnd()
        }
    }

    @Test func escapesOfAllKindsAreRead() throws {
        var reader = JSONReader(Array(#""\b\f\n\r\t\/\\\"\u0041\u00e9\ud83d\udc2d""#.utf8))
        let text = String(decoding: try reader.string(), as: UTF8.self)
        #expect(text == "\u{8}\u{C}\n\r\t/\\\"Aé🐭")
    }

    @Test(arguments: [
        "0", "-0", "12", "-1.5e+10", "1E3", "true", "false", "null", "\"x\"", "[]", "[1,[2]]", "{}",
        " { \"a\" : [ 1 , 2 ] , \"a\" : null } ",
    ])
    func goodValuesAreTaken(text: String) throws {
        var reader = JSONReader(Array(text.utf8))
        _ = try reader.value()
        try reader.expectEnd()
    }

    @Test(arguments: [
        "", " ", "01", "-", "1.", "1e", ".5", "+1", "tru", "nul", "\"x", "\"\\x\"", "\"\\u12\"",
        "\"\\u+123\"", "\"\\ud83d\"", "\"\\ud83dx\"", "\"\\ud83d\\u0041\"", "\"\u{1}\"", "[1,]",
        "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "[", "{", "1 2", "\"\\",
    ])
    func badValuesAreRefused(text: String) {
        #expect(throws: JSONProblem.self) {
            var reader = JSONReader(Array(text.utf8))
            _ = try reader.value()
            try reader.expectEnd()
        }
    }

    @Test func deepNestingIsRefusedInsteadOfCrashing() {
        #expect(throws: JSONProblem.self) {
            var reader = JSONReader([UInt8](repeating: UInt8(ascii: "["), count: 1_000_000))
            _ = try reader.value()
        }
    }

    @Test func base64HasTheVectorsOfItsStandard() {
        let vectors = ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foobar": "Zm9vYmFy"]
        for (plain, encoded) in vectors {
            #expect(Base64.encode(Array(plain.utf8)) == Array(encoded.utf8))
            #expect(Base64.decode(Array(encoded.utf8)) == Array(plain.utf8))
        }
        #expect(Base64.decode(Array("Zg".utf8)) == Array("f".utf8))
        for bad in ["Z", "Zg=x", "Z===", "Zg==\n", "Z*=="] {
            #expect(Base64.decode(Array(bad.utf8)) == nil)
        }
        let all = (0...255).map { UInt8($0) }
        #expect(Base64.decode(Base64.encode(all)) == all)
    }
}

struct EventLineTests {
    private func event(_ line: String) throws -> Core.Event? {
        try EventLine.event(Array(line.utf8))
    }

    private func problem(_ line: String) -> String? {
        do {
            _ = try self.event(line)
            return nil
        } catch {
            return (error as? JSONProblem)?.text
        }
    }

    @Test func aStringStandsForItsBytesAndAValueForItsText() throws {
        let text = try #require(try self.event(#"{"key":"a.b","payload":"caf\u00e9"}"#))
        #expect(text.payload == Array("café".utf8))
        #expect(text.contentType.isEmpty)
        let value = try #require(try self.event(#"{"key":"a","payload": {"x": 1.0, "y":[]} }"#))
        #expect(value.payload == Array(#"{"x": 1.0, "y":[]}"#.utf8))
        #expect(value.contentType == Array("application/json".utf8))
        let own = #"{"key":"a","payload":17,"content_type":"text/plain"}"#
        #expect(try self.event(own)?.contentType == Array("text/plain".utf8))
    }

    @Test func allFieldsAreTaken() throws {
        let line =
            #"{"id":"1","headers":{"a":"x","b":["y","z"]},"payload_base64":"/w==","key":"k"}"#
        let event = try #require(try self.event(line))
        #expect(event.payload == [0xFF])
        #expect(event.id == Array("1".utf8))
        #expect(event.headers.map(\.name) == [[0x61], [0x62], [0x62]])
        #expect(event.headers.map(\.value) == [[0x78], [0x79], [0x7A]])
    }

    @Test func aBlankLineIsNoEvent() throws {
        #expect(try self.event("  \t\r") == nil)
    }

    @Test(arguments: [
        (#"{"payload":1}"#, "no 'key'"), (#"{"key":1}"#, "a string is expected"),
        (#"{"key":"a","keys":1}"#, "'keys' is no field"), (#"[1]"#, "an object is expected"),
        (#"{"key":"a","key":"b"}"#, "stands twice"), (#"{"key":"a"} x"#, "more after its end"),
        (#"{"key":"a","payload_base64":"*"}"#, "not base64"),
        (#"{"key":"a","payload":1,"payload_base64":""}"#, "a payload and a payload_base64"),
        (#"{"key":"a","headers":{"x":1}}"#, "a string is expected"), ("{", "it ends where"),
    ])
    func aBadLineSaysWhatIsWrong(line: String, expected: String) {
        #expect(self.problem(line)?.contains(expected) == true)
    }

    @Test func aLineThatIsNotUTF8IsRefused() {
        #expect(throws: JSONProblem.self) { try EventLine.event([0x7B, 0x22, 0xFF, 0x22, 0x7D]) }
    }

    @Test(arguments: [
        (#"{"x":[1,2]}"#, "application/json"), (#""quoted""#, "application/json"),
        ("not json", "application/json"), ("{\n\"x\":1}", "text/plain"), ("", ""),
    ])
    func whatIsPrintedCanBePublishedAgain(payload: String, contentType: String) throws {
        let headers = [
            DormouseClient.Event.Header("a", "x"), DormouseClient.Event.Header("a", ""),
        ]
        let event = DormouseClient.Event(
            key: "a.b", payload: Array(payload.utf8), id: Array("\"1\"".utf8),
            contentType: contentType, headers: headers, position: 7, publishedAt: 1)
        let line = self.json(event)
        #expect(!line.contains(0x0A))
        let read = try #require(try EventLine.event(line))
        #expect(
            read
                == Core.Event(
                    key: Array("a.b".utf8), payload: event.payload, id: event.id,
                    contentType: Array(contentType.utf8),
                    headers: [Header(name: [0x61], value: [0x78]), Header(name: [0x61], value: [])]
                ))
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line)) }
    }

    private func json(_ event: DormouseClient.Event) -> [UInt8] {
        var line: [UInt8] = []
        event.lend { EventText.appendJSON($0, to: &line) }
        return line
    }

    @Test func aLineForPeopleIsHarmless() {
        func line(_ payload: String) -> String {
            let event = DormouseClient.Event(
                key: "a.b", payload: Array(payload.utf8), id: [], contentType: "", headers: [],
                position: 12, publishedAt: 1_767_225_599_999_999)
            var line: [UInt8] = []
            event.lend { EventText.append($0, as: .line(isUTC: true), to: &line) }
            return String(decoding: line, as: UTF8.self)
        }
        #expect(line("x\ty") == "12  2025-12-31T23:59:59.999Z  a.b  x\\ty\n")
        #expect(line("café") == "12  2025-12-31T23:59:59.999Z  a.b  café\n")
        #expect(line("\u{1B}[2J") == "12  2025-12-31T23:59:59.999Z  a.b  <4 bytes>\n")
    }

    @Test func bytesThatAreNoTextArePrintedInBase64() {
        let event = DormouseClient.Event(key: "k", payload: [0xFF, 0])
        let line = String(decoding: self.json(event), as: UTF8.self)
        #expect(line.hasSuffix(#""key":"k","payload_base64":"/wA="}"#))
    }
}
