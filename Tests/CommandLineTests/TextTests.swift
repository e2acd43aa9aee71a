import Core
import Testing

@testable import CommandLine

struct TimeTextTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"), (1_000_000, "1970-01-01T00:00:01.000000Z"),
        (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
        (1_767_225_599_999_999, "2025-12-31T23:59:59.999999Z"),
        (253_402_300_799_000_000, "9999-12-31T23:59:59.000000Z"),
    ])
    func aTimeIsWrittenAndReadBack(micros: UInt64, text: String) {
        #expect(TimeText.rfc3339(micros) == text)
        var bytes: [UInt8] = []
        TimeText.append(rfc3339: micros, to: &bytes)
        #expect(bytes == Array(text.utf8))
        #expect(TimeText.time(text, now: 0) == micros)
    }

    @Test func fewerDigitsCutTheRest() {
        #expect(TimeText.rfc3339(1_999_999, digits: 3) == "1970-01-01T00:00:01.999Z")
        #expect(TimeText.rfc3339(1_999_999, digits: 0) == "1970-01-01T00:00:01Z")
    }

    @Test func timesMayBeShortOrHaveAnOffset() {
        #expect(TimeText.time("1970-01-02", now: 0) == 86_400_000_000)
        #expect(TimeText.time("1970-01-01T01:00Z", now: 0) == 3_600_000_000)
        #expect(TimeText.time("1970-01-01T01:00:00+01:00", now: 0) == 0)
        #expect(TimeText.time("1970-01-01T00:00:00.5Z", now: 0) == 500_000)
        #expect(TimeText.time("-1h", now: 7_200_000_000) == 3_600_000_000)
        #expect(TimeText.time("-1h", now: 5) == 0)
    }

    @Test(arguments: [
        "", "now", "2026", "2026-02-30", "2026-13-01", "2026-01-01T25:00Z", "2026-01-01T10:00",
        "1969-12-31", "1970-01-01T00:00+01:00", "2026-01-01T10:00Zx", "2026-01-01T10:00:00.Z", "-",
        "+026-01-01",
    ])
    func whatIsNoTimeIsRefused(text: String) {
        #expect(TimeText.time(text, now: 0) == nil)
    }

    @Test func durationsHaveUnitsAndAddUp() {
        #expect(TimeText.duration("500ms") == 500_000)
        #expect(TimeText.duration("1h30m") == 5_400_000_000)
        #expect(TimeText.duration("2d") == 172_800_000_000)
    }

    @Test(arguments: ["", "5", "h", "1y", "-1h", "1.5h", "99999999999999999999s", "9999999999999w"])
    func whatIsNoDurationIsRefused(text: String) {
        #expect(TimeText.duration(text) == nil)
    }

    @Test func roughTimesHaveTwoUnits() {
        #expect(TimeText.roughly(59_999_999) == "59s")
        #expect(TimeText.roughly(125_000_000) == "2m 5s")
        #expect(TimeText.roughly(90_000_000_000) == "1d 1h")
    }
}

struct TextTests {
    @Test func numbersAreGroupedByThousands() {
        #expect(Text.grouped(0) == "0")
        #expect(Text.grouped(999) == "999")
        #expect(Text.grouped(1_234_567) == "1,234,567")
        #expect(Text.count(1, "event") == "1 event")
        #expect(Text.count(1000, "event") == "1,000 events")
    }

    @Test func payloadsAreOneHarmlessLine() {
        #expect(Text.payload(Array("caf\u{E9} \u{1F42D}".utf8)) == "caf\u{E9} \u{1F42D}")
        #expect(Text.payload(Array("a\n\tb".utf8)) == "a\\n\\tb")
        #expect(Text.payload([0x1B, 0x5B, 0x41]) == "<3 bytes>")
        #expect(Text.payload([0xFF]) == "<1 byte>")
        #expect(Text.payload([]) == "")
        #expect(Text.payload(Array("\u{202E}x".utf8)) == "<4 bytes>")
    }

    @Test func textOfOthersCannotReachTheTerminal() {
        #expect(Text.printable(Array("a\u{1B}[2Jb".utf8)) == "a?[2Jb")
        #expect(Text.printable([0xFF, 0x41]) == "\u{FFFD}A")
    }

    @Test func aSlipOfTheFingerFindsTheWordThatWasMeant() {
        let names = ["publish", "subscribe", "subscriptions", "stop", "state"]
        #expect(Text.nearest(to: "pubish", in: names) == "publish")
        #expect(Text.nearest(to: "subscripe", in: names) == "subscribe")
        #expect(Text.nearest(to: "pub", in: names) == "publish")
        #expect(Text.nearest(to: "sotp", in: names) == "stop")
        #expect(Text.nearest(to: "xyzzy", in: names) == nil)
    }

    @Test func tableColumnsAreAlignedAndHaveNoSpacesAtTheEnd() {
        var table = Table([("NAME", .left), ("N", .right), ("REST", .left)])
        table.add(["a", "1", ""])
        table.add(["longer", "1000", "x"])
        #expect(table.lines == ["NAME       N  REST", "a          1", "longer  1000  x"])
    }

    @Test func anEmptyTableHasItsTitlesOnly() {
        #expect(Table([("A", .left), ("B", .right)]).lines == ["A  B"])
    }
}
