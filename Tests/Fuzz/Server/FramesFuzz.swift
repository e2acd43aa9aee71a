import Core
import Wire

// Whatever a client sends: preface, frames, and every message in them, cut at any place. Traps, sanitizers and the checks
// here end the run.

nonisolated(unsafe) private let arena = Arena()
private let frameBytesMax = 64 << 10

/// The input's first byte says how it is cut.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 1 else { return 0 }
    let input = UnsafeRawBufferPointer(start: bytes + 1, count: count - 1)
    let cut = 1 + Int(bytes[0] % 64) * 3
    let inPieces = frames(input, cut: cut)
    let atOnce = frames(input, cut: input.count)
    precondition(inPieces == atOnce, "what comes out depends on how it was cut")
    return 0
}

/// What becomes of the bytes.
private struct Outcome: Equatable {
    var frames: [FrameHeader] = []
    var requests = 0
    var failure: Failure?
}

private func frames(_ input: UnsafeRawBufferPointer, cut: Int) -> Outcome {
    var outcome = Outcome()
    var preface: PrefaceDecoder? = PrefaceDecoder()
    var decoder = FrameDecoder()
    var start = 0
    while start < input.count {
        let end = min(input.count, start + cut)
        var piece = UnsafeRawBufferPointer(rebasing: input[start..<end])
        start = end
        if preface != nil {
            switch preface?.push(piece) {
            case .complete(let used):
                preface = nil
                piece = UnsafeRawBufferPointer(rebasing: piece[used...])
            case .mismatch:
                return outcome
            case .needsMore, nil:
                continue
            }
        }
        do throws(Failure) {
            try decode(piece, &decoder, &outcome)
        } catch {
            outcome.failure = error
            return outcome
        }
        precondition(decoder.heldBytes <= frameBytesMax + FrameHeader.bytesCount)
    }
    return outcome
}

private func decode(
    _ piece: UnsafeRawBufferPointer, _ decoder: inout FrameDecoder, _ outcome: inout Outcome
) throws(Failure) {
    var piece = piece
    while true {
        var headers: [FrameHeader] = []
        var requests = 0
        let step = try decoder.decode(piece) { (header, payload) throws(Failure) in
            headers.append(header)
            if header.type == .request, read(header, payload) { requests += 1 }
            // As after the hello: the limit changes between two frames.
            return headers.count == 1 ? .pause : .next
        }
        outcome.frames += headers
        outcome.requests += requests
        if !outcome.frames.isEmpty { decoder.payloadBytesMax = frameBytesMax }
        guard step == .pause else { return }
        piece = UnsafeRawBufferPointer(start: nil, count: 0)
    }
}

/// Whether the payload is what its method asks for.
private func read(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) -> Bool {
    guard let method = Method(rawValue: header.code) else { return false }
    do throws(Failure) {
        let request = try Request.decode(
            method: method, payload: payload, eventBytesMax: frameBytesMax - 1024, arena: arena)
        check(request, payload)
        return true
    } catch {
        precondition(error.code == .invalidArgument || error.code == .frameTooLarge)
        precondition(arena.spentBytes <= 8 * payload.count + 64 << 10)
        return false
    }
}

/// What was read can be written, and is the same when it is read again.
private func check(_ request: Request, _ payload: UnsafeRawBufferPointer) {
    if case .publish(let publish) = request {
        // Each event becomes a record: five times as large at the most.
        precondition(publish.events.bytes.count <= 20 * payload.count)
        // The failure of an event is not a part of the message.
        if publish.failure != nil { return }
    }
    var bytes: [UInt8] = []
    request.encode(into: &bytes)
    bytes.withUnsafeBytes { bytes in
        do throws(Failure) {
            let again = try Request.decode(
                method: request.method, payload: bytes, eventBytesMax: 2 * frameBytesMax,
                arena: arena)
            precondition(again == request, "\(request) became \(again)")
        } catch {
            // What grows when it is written (unpacked numbers) may pass the budget.
            precondition(error.code == .invalidArgument)
        }
    }
}
