import CWire
import Core

/// Says that the log was restored from a backup.
package struct RestoredRequest: Hashable, Sendable {
    /// The one that is to end.
    package var incarnation: [UInt8]

    package init(incarnation: [UInt8] = []) {
        self.incarnation = incarnation
    }
}

extension RestoredRequest: Message {
    static var unpack: Unpack<Dormouse__V1__RestoredRequest> {
        dormouse__v1__restored_request__unpack
    }

    init(_ unpacked: Dormouse__V1__RestoredRequest) throws(Failure) {
        self.init(incarnation: [UInt8](unpacked.incarnation))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.incarnation)
    }
}

/// The log has another incarnation now.
package struct RestoredReply: Hashable, Sendable {
    package var incarnation: [UInt8]

    package init(incarnation: [UInt8] = []) {
        self.incarnation = incarnation
    }
}

extension RestoredReply: Message {
    static var unpack: Unpack<Dormouse__V1__RestoredReply> {
        dormouse__v1__restored_reply__unpack
    }

    init(_ unpacked: Dormouse__V1__RestoredReply) throws(Failure) {
        self.init(incarnation: [UInt8](unpacked.incarnation))
    }

    package func encode(into bytes: inout [UInt8]) {
        bytes.writeBytes(1, self.incarnation)
    }
}
