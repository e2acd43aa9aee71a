import CWire
import Core

/// One page of matching events, without a subscription.
package struct FetchRequest: Hashable, Sendable {
    package var config: ReceiverConfigMessage
    package var after: UInt64
    package var eventsMax: UInt32
    package var bytesMax: UInt32
    /// How long to wait when there is nothing yet.
    package var waitMilliseconds: UInt32
    /// Read anew from the store, also what is in memory.
    package var stored: Bool

    package init(
        config: ReceiverConfigMessage = ReceiverConfigMessage(), after: UInt64 = 0,
        eventsMax: UInt32 = 0, bytesMax: UInt32 = 0, waitMilliseconds: UInt32 = 0,
        stored: Bool = false
    ) {
        self.config = config
        self.after = after
        self.eventsMax = eventsMax
        self.bytesMax = bytesMax
        self.waitMilliseconds = waitMilliseconds
        self.stored = stored
    }
}

extension FetchRequest: Message {
    static var unpack: Unpack<Dormouse__V1__FetchRequest> { dormouse__v1__fetch_request__unpack }

    init(_ unpacked: Dormouse__V1__FetchRequest) throws(Failure) {
        self.init(
            config: try ReceiverConfigMessage(optional: unpacked.config),
            after: unpacked.after,
            eventsMax: unpacked.events_max,
            bytesMax: unpacked.bytes_max,
            waitMilliseconds: unpacked.wait_ms,
            stored: unpacked.stored != 0)
    }

    package func encode(into bytes: inout [UInt8]) {
        if self.config != ReceiverConfigMessage() {
            bytes.writeMessage(1) { self.config.encode(into: &$0) }
        }
        bytes.writeFixed64(2, self.after)
        bytes.writeUInt32(3, self.eventsMax)
        bytes.writeUInt32(4, self.bytesMax)
        bytes.writeUInt32(5, self.waitMilliseconds)
        bytes.writeBool(6, self.stored)
    }
}
