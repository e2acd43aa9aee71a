package import Core

extension Event {
    /// Appends the fields of the message, position and time first when they are not 0.
    func encode(into bytes: inout [UInt8]) {
        bytes.writeFixed64(1, self.position.rawValue)
        bytes.writeFixed64(2, self.publishedAt.rawValue)
        self.encodeFields(into: &bytes)
    }

    /// The same without position and time, which only the server sets.
    func encodeFields(into bytes: inout [UInt8]) {
        bytes.writeBytes(3, self.key)
        bytes.writeBytes(4, self.payload)
        bytes.writeBytes(5, self.id)
        bytes.writeBytes(6, self.contentType)
        for header in self.headers {
            bytes.writeMessage(7) { bytes in
                bytes.writeBytes(1, header.name)
                bytes.writeBytes(2, header.value)
            }
        }
    }

    /// Reads a message; throws `invalidArgument` where the bytes are none. Its rules are not checked.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(Failure) {
        self.init(key: [])
        var reader = FieldReader(bytes)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .number(let number)): self.position = Position(number)
            case (2, .number(let number)): self.publishedAt = Timestamp(rawValue: number)
            case (3, .bytes(let range)): self.key = Array(bytes[range])
            case (4, .bytes(let range)): self.payload = Array(bytes[range])
            case (5, .bytes(let range)): self.id = Array(bytes[range])
            case (6, .bytes(let range)): self.contentType = Array(bytes[range])
            case (7, .bytes(let range)):
                self.headers.append(
                    try Header(decoding: UnsafeRawBufferPointer(rebasing: bytes[range])))
            default: break
            }
        }
    }
}

extension Header {
    init(decoding bytes: UnsafeRawBufferPointer) throws(Failure) {
        self.init(name: [], value: [])
        var reader = FieldReader(bytes)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let range)): self.name = Array(bytes[range])
            case (2, .bytes(let range)): self.value = Array(bytes[range])
            default: break
            }
        }
    }
}
