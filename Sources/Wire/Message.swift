import CWire
import Core

/// A message of dormouse.proto that protobuf-c unpacks. Sub-messages and enums are copied out; the
/// C structs do not outlive the call.
protocol Message {
    associatedtype Unpacked

    static var unpack: Unpack<Unpacked> { get }

    /// Copies what was unpacked. Throws `invalidArgument` for numbers that no enum has.
    init(_ unpacked: Unpacked) throws(Failure)

    /// Appends the fields; those with their default value are left out.
    func encode(into bytes: inout [UInt8])
}

extension Message {
    static func decode(
        _ payload: UnsafeRawBufferPointer, budget: Arena.Budget, arena: Arena
    ) throws(Failure) -> Self {
        try arena.withUnpacked(payload, budget: budget, by: Self.unpack) {
            unpacked throws(Failure) in try Self(unpacked)
        }
    }

    /// The elements of a repeated sub-message.
    static func all(
        _ elements: UnsafeMutablePointer<UnsafeMutablePointer<Unpacked>?>?, count: Int
    ) throws(Failure) -> [Self] {
        var all: [Self] = []
        all.reserveCapacity(count)
        for case let element? in UnsafeBufferPointer(start: elements, count: count) {
            all.append(try Self(element.pointee))
        }
        return all
    }
}

extension [UInt8] {
    init(_ data: ProtobufCBinaryData) {
        self.init(UnsafeRawBufferPointer(data))
    }
}

extension UnsafeRawBufferPointer {
    /// Borrows from the arena.
    init(_ data: ProtobufCBinaryData) {
        self.init(start: data.data, count: data.data == nil ? 0 : data.len)
    }
}

func unpackedBytes(_ elements: UnsafeMutablePointer<ProtobufCBinaryData>?, count: Int) -> [[UInt8]]
{
    UnsafeBufferPointer(start: elements, count: elements == nil ? 0 : count).map { [UInt8]($0) }
}

func unpackedNumbers(_ elements: UnsafeMutablePointer<UInt32>?, count: Int) -> [UInt32] {
    Array(UnsafeBufferPointer(start: elements, count: elements == nil ? 0 : count))
}

extension RawRepresentable where RawValue == UInt8 {
    /// An enum's number as protobuf-c stores it, which may be any.
    init(unpacked number: some FixedWidthInteger) throws(Failure) {
        guard let rawValue = UInt8(exactly: number), let value = Self(rawValue: rawValue) else {
            throw Failure(
                .invalidArgument,
                "a message has the number \(number) where a \(Self.self) is expected; expected "
                    + "one of dormouse.proto, version 1")
        }
        self = value
    }
}
