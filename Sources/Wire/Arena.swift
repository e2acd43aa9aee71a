import CWire
import Core

/// Memory for decoding one message at a time, with a cumulative budget: whatever protobuf-c is made
/// to allocate by a peer's bytes (its merging is quadratic, its unknown fields grow) ends at the
/// budget. One arena serves any number of connections of one thread; nothing that was decoded
/// points into it.
package final class Arena {
    private let arena: OpaquePointer?

    package init() {
        self.arena = dormouse_arena_new()
    }

    deinit {
        dormouse_arena_free(self.arena)
    }

    /// Bytes that the last message took; for tests and measurements.
    package var spentBytes: Int {
        guard let arena = self.arena else { return 0 }
        return dormouse_arena_spent(arena)
    }

    /// Pieces of it.
    package var allocations: Int {
        guard let arena = self.arena else { return 0 }
        return dormouse_arena_allocations(arena)
    }

    /// What a message may be decoded into, beside 64 KiB and 1,000 pieces.
    struct Budget {
        /// Bytes of memory for each of its bytes.
        var memory: Int
        /// How many of its bytes give a piece.
        var piece: Int
    }

    /// Unpacks `payload` within the budget and lends the result.
    func withUnpacked<Unpacked, Result>(
        _ payload: UnsafeRawBufferPointer, budget: Budget, by unpack: Unpack<Unpacked>,
        _ body: (Unpacked) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard let arena = self.arena else {
            throw Failure(.resourceExhausted, "there is no memory left to decode a message in")
        }
        let product = payload.count.multipliedReportingOverflow(by: budget.memory)
        let memory = product.partialValue.addingReportingOverflow(Self.fixedBytes)
        guard !product.overflow, !memory.overflow else {
            throw Failure(.frameTooLarge, "a message has \(payload.count) bytes")
        }
        dormouse_arena_reset(
            arena, memory.partialValue, Self.fixedPieces + payload.count / budget.piece)
        // The memory stays until the next message; what is returned from `body` holds copies only.
        guard
            let unpacked = unpack(
                dormouse_arena_allocator(arena), payload.count,
                payload.baseAddress?.assumingMemoryBound(to: UInt8.self))
        else {
            throw self.failure(payload)
        }
        return try body(unpacked.pointee)
    }

    /// 64 KiB, so that small messages of many small parts never meet the budget.
    private static let fixedBytes = 64 << 10
    private static let fixedPieces = 1_000

    private func failure(_ payload: UnsafeRawBufferPointer) -> Failure {
        guard let arena = self.arena, dormouse_arena_refused(arena) else {
            return Failure(
                .invalidArgument,
                "the \(payload.count) bytes of a message are not what its type looks like; "
                    + "expected the messages of dormouse.proto, version 1")
        }
        return Failure(
            .invalidArgument,
            "the \(payload.count) bytes of a message hold too many small or repeated parts to "
                + "decode; send fewer of them at a time")
    }
}

/// A generated `…__unpack` function.
typealias Unpack<Unpacked> = (
    UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?
) -> UnsafeMutablePointer<Unpacked>?
