import Core
import Testing
import Wire

/// Collects what a decoder lends.
private struct Collector {
    var decoder: FrameDecoder
    var frames: [Frame] = []

    init(payloadBytesMax: Int = 1 << 20) {
        self.decoder = FrameDecoder(payloadBytesMax: payloadBytesMax)
    }

    mutating func decode(_ bytes: some Sequence<UInt8>) throws {
        var frames: [Frame] = []
        defer { self.frames += frames }
        let step = try Array(bytes).withUnsafeBytes { bytes in
            try self.decoder.decode(bytes) { header, payload in
                frames.append(Frame(header: header, payload: payload))
                return .next
            }
        }
        #expect(step == .next)
    }

    mutating func pushAndNext(_ bytes: some Sequence<UInt8>) throws {
        Array(bytes).withUnsafeBytes { self.decoder.push($0) }
        var frames: [Frame] = []
        defer { self.frames += frames }
        while try self.decoder.next({ header, payload in
            frames.append(Frame(header: header, payload: payload))
        }) {}
    }
}

private func header(length: UInt32, type: UInt8) -> [UInt8] {
    withUnsafeBytes(of: length.bigEndian) { Array($0) } + [type, 0, 0, 0, 0, 0, 0, 1]
}

@Suite struct FrameDecoderTests {
    @Test func aFrameSplitAtEveryPointDecodesTheSame() throws {
        let frames = try Samples.frames.map(\.frame)
        let bytes = frames.flatMap(\.encoded)
        for split in 0...bytes.count {
            var direct = Collector()
            try direct.decode(bytes[..<split])
            try direct.decode(bytes[split...])
            #expect(direct.frames == frames, "split at \(split)")
            #expect(direct.decoder.heldBytes == 0)
            var pushed = Collector()
            try pushed.pushAndNext(bytes[..<split])
            try pushed.pushAndNext(bytes[split...])
            #expect(pushed.frames == frames, "split at \(split)")
        }
    }

    @Test func aFrameSplitIntoThreePiecesAtEveryTwoPointsDecodesTheSame() throws {
        let frames = [
            Frame(.ping, payload: [1, 2, 3, 4, 5]), Frame(.cancel, stream: 3),
            Frame(.pong, payload: [9]),
        ]
        let bytes = frames.flatMap(\.encoded)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                var collector = Collector()
                try collector.decode(bytes[..<first])
                try collector.decode(bytes[first..<second])
                try collector.decode(bytes[second...])
                #expect(collector.frames == frames, "split at \(first) and \(second)")
            }
        }
    }

    @Test func aMebibyteOneByteAtATimeDecodesInLinearTime() throws {
        let payload = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let frame = Frame(.data, stream: 4, payload: payload)
        var direct = FrameDecoder(payloadBytesMax: 1 << 20)
        var count = 0
        for byte in frame.encoded {
            _ = try withUnsafeBytes(of: byte) { bytes in
                try direct.decode(bytes) { header, lent in
                    count += 1
                    #expect(Frame(header: header, payload: lent) == frame)
                    return .next
                }
            }
        }
        #expect(count == 1)
        var pushed = FrameDecoder(payloadBytesMax: 1 << 20)
        for byte in frame.encoded {
            withUnsafeBytes(of: byte) { pushed.push($0) }
            if try pushed.next({ _, lent in #expect(lent.elementsEqual(payload)) }) { count += 1 }
        }
        #expect(count == 2)
        #expect(pushed.heldBytes == 0)
    }

    @Test func manySmallFramesPushedAtOnceDecodeInLinearTime() throws {
        let one = Frame(.ping, payload: [1, 2, 3, 4]).encoded
        let bytes = Array(repeatElement(one, count: 65_536).joined())
        var decoder = FrameDecoder()
        bytes.withUnsafeBytes { decoder.push($0) }
        var count = 0
        while try decoder.next({ _, _ in }) {
            count += 1
            // Something arrives between any two frames.
            if count <= 1000 { one.withUnsafeBytes { decoder.push($0) } }
        }
        #expect(count == 66_536)
    }

    @Test func randomSplitsOfRandomFramesDecodeTheSame() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("randomSplitsOfRandomFramesDecodeTheSame: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let frames = (0..<Int.random(in: 1...20, using: &random)).map { index in
                let large = Int.random(in: 0..<10, using: &random) == 0
                let count = Int.random(in: 0...(large ? 70_000 : 40), using: &random)
                return Frame(
                    .data, stream: UInt32(index), payload: .init(repeating: 7, count: count))
            }
            let bytes = frames.flatMap(\.encoded)
            var collector = Collector()
            var offset = 0
            while offset < bytes.count {
                let end = min(bytes.count, offset + Int.random(in: 0...5000, using: &random))
                if Bool.random(using: &random) {
                    try collector.decode(bytes[offset..<end])
                } else {
                    try collector.pushAndNext(bytes[offset..<end])
                }
                offset = end
            }
            #expect(collector.frames == frames, "seed \(seed)")
        }
    }

    @Test(arguments: [0, 1, 4096] as [UInt32])
    func aLengthUpToTheBoundIsTaken(length: UInt32) throws {
        var collector = Collector(payloadBytesMax: 4096)
        let payload = [UInt8](repeating: 1, count: Int(length))
        try collector.decode(header(length: length, type: 6) + payload)
        #expect(collector.frames.map(\.payload) == [payload])
    }

    @Test(arguments: [4097, 1 << 31, UInt32.max] as [UInt32], [1, 200] as [UInt8])
    func aLengthOverTheBoundIsRefusedOnceTheHeaderIsThere(length: UInt32, type: UInt8) throws {
        var collector = Collector(payloadBytesMax: 4096)
        let bytes = header(length: length, type: type)
        try collector.decode(bytes.dropLast())
        let failure = try #require(throws: Failure.self) {
            try collector.decode(bytes.suffix(1))
        }
        #expect(failure.code == .frameTooLarge)
        #expect(failure.message.contains("\(length)"))
        // And it stays refused, without keeping anything.
        #expect(throws: failure) { try collector.decode(Frame(.ping).encoded) }
        #expect(throws: failure) { try collector.pushAndNext(Frame(.ping).encoded) }
        #expect(collector.decoder.heldBytes == 0)
    }

    @Test func anUnknownTypeIsRefusedBeforeItsPayloadArrives() {
        for type in [UInt8(0), 9, 64, 127] {
            var collector = Collector()
            let failure = #expect(throws: Failure.self) {
                try collector.decode(header(length: 1000, type: type))
            }
            #expect(failure?.code == .unimplemented)
        }
    }

    @Test func anUnknownTypeThatMayBeIgnoredIsSkipped() throws {
        let known = Frame(.ping, payload: [5])
        for type in [UInt8(128), 129, 255] {
            let unknown = header(length: 3, type: type) + [1, 2, 3]
            let bytes = unknown + known.encoded + unknown + unknown + known.encoded
            for split in 0...bytes.count {
                var collector = Collector()
                try collector.decode(bytes[..<split])
                try collector.decode(bytes[split...])
                #expect(collector.frames == [known, known])
                var pushed = Collector()
                try pushed.pushAndNext(bytes[..<split])
                try pushed.pushAndNext(bytes[split...])
                #expect(pushed.frames == [known, known])
            }
        }
    }

    @Test func framesAfterAPauseWaitAndMayThenBeLarger() throws {
        let small = Frame(.request, code: 1, stream: 1, payload: [1])
        let large = Frame(.request, code: 10, stream: 2, payload: .init(repeating: 2, count: 9000))
        let bytes = small.encoded + large.encoded
        for split in 0...small.encoded.count {
            var decoder = FrameDecoder()
            var frames: [Frame] = []
            func feed(_ bytes: ArraySlice<UInt8>) throws -> FrameDecoder.Step {
                try bytes.withUnsafeBytes { bytes in
                    try decoder.decode(bytes) { header, payload in
                        frames.append(Frame(header: header, payload: payload))
                        return header.code == 1 ? .pause : .next
                    }
                }
            }
            if split < small.encoded.count { #expect(try feed(bytes[..<split]) == .next) }
            let start = split < small.encoded.count ? split : 0
            #expect(try feed(bytes[start...]) == .pause)
            #expect(frames == [small])
            #expect(decoder.heldBytes == large.encoded.count)
            decoder.payloadBytesMax = 9000
            #expect(try feed([]) == .next)
            #expect(frames == [small, large])
        }
    }

    @Test func whatTheBodyThrowsEndsTheDecoder() throws {
        let failure = Failure(.draining, "no more")
        var decoder = FrameDecoder()
        let bytes = Frame(.ping).encoded + Frame(.ping).encoded
        for _ in 0..<2 {
            #expect(throws: failure) {
                try bytes.withUnsafeBytes { bytes in
                    try decoder.decode(bytes) { _, _ throws(Failure) in throw failure }
                }
            }
        }
        #expect(throws: failure) { try decoder.next { _, _ in } }
    }

    @Test func garbageNeverTraps() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("garbageNeverTraps: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            var collector = Collector(payloadBytesMax: 64)
            do {
                for _ in 0..<8 {
                    let count = Int.random(in: 0...40, using: &random)
                    // Mostly zeros, so that lengths are often within the bound.
                    try collector.decode(
                        (0..<count).map { _ in
                            Bool.random(using: &random)
                                ? 0 : UInt8.random(in: 0...9, using: &random)
                        })
                }
            } catch {
                #expect(error is Failure, "seed \(seed)")
            }
            #expect(collector.decoder.heldBytes < 64 + FrameHeader.bytesCount)
        }
    }
}
