import Testing
import Wire

@Suite struct PrefaceTests {
    private func push(_ pieces: [UInt8]...) -> PrefaceDecoder.Verdict {
        var decoder = PrefaceDecoder()
        var verdict = PrefaceDecoder.Verdict.needsMore
        for piece in pieces where verdict == .needsMore {
            verdict = piece.withUnsafeBytes { decoder.push($0) }
        }
        return verdict
    }

    private func description(_ pieces: [UInt8]...) -> String {
        var decoder = PrefaceDecoder()
        for piece in pieces {
            let verdict = piece.withUnsafeBytes { decoder.push($0) }
            if case .mismatch(let description) = verdict { return description }
        }
        return "no mismatch"
    }

    @Test func thePrefaceSplitAtEveryPointIsRecognised() {
        let bytes = Preface.bytes + [1, 2, 3]
        for split in 0..<Preface.bytes.count {
            #expect(
                self.push(Array(bytes[..<split]), Array(bytes[split...]))
                    == .complete(consumed: Preface.bytes.count - split))
        }
        for count in 0..<Preface.bytes.count {
            #expect(self.push(Array(bytes[..<count])) == .needsMore)
        }
    }

    @Test func aDifferenceInAnyByteIsAMismatch() {
        for index in Preface.bytes.indices {
            var bytes = Preface.bytes
            bytes[index] ^= 0x20
            #expect(self.description(bytes) != "no mismatch")
            #expect(
                self.description(Array(bytes[..<index]), Array(bytes[index...])) != "no mismatch")
        }
    }

    @Test func aStrangerIsDescribed() {
        #expect(self.description([0x16, 0x03, 0x01, 0x02]).contains("TLS"))
        #expect(self.description(bytes("GET / HTTP/1.1\r\n")).contains("HTTP"))
        #expect(self.description(bytes("PRI * HTTP/2.0\r\n")).contains("HTTP"))
        #expect(self.description(bytes("OPTIONS *")).contains("HTTP"))
        #expect(self.description(bytes("POS")).contains("HTTP"))
        #expect(self.description(bytes("SSH-2.0-x")).contains("53 53 48 2d"))
        #expect(self.description([0xD0], bytes("DORM\r\n") + [2]).contains("major version 2"))
        #expect(self.description([0x00]).contains("bytes 00"))
    }
}
