package import NIOCore

/// A protobuf message as its fields stand in it: what is not known is kept.
package struct ProtoMessage: Sendable, Hashable {
    package enum Value: Sendable, Hashable {
        case number(UInt64)
        case bytes(ByteBuffer)
        case fixed64(UInt64)
        case fixed32(UInt32)
    }

    package struct Field: Sendable, Hashable {
        package var number: Int
        package var value: Value
    }

    /// Why bytes are no message.
    package struct Malformed: Error, Hashable {}

    package var fields: [Field] = []

    package init() {}

    package init(_ bytes: ByteBuffer) throws(Malformed) {
        var bytes = bytes
        while bytes.readableBytes > 0 {
            let key = try Self.varint(&bytes)
            guard let number = Int(exactly: key >> 3), number > 0, number < 1 << 29 else { throw Malformed() }
            fields.append(Field(number: number, value: try Self.value(&bytes, kind: key & 7)))
        }
    }

    private static func value(_ bytes: inout ByteBuffer, kind: UInt64) throws(Malformed) -> Value {
        switch kind {
        case 0: return .number(try varint(&bytes))
        case 1:
            guard let value = bytes.readInteger(endianness: .little, as: UInt64.self) else { throw Malformed() }
            return .fixed64(value)
        case 2:
            guard let length = Int(exactly: try varint(&bytes)), let slice = bytes.readSlice(length: length) else {
                throw Malformed()
            }
            return .bytes(slice)
        case 5:
            guard let value = bytes.readInteger(endianness: .little, as: UInt32.self) else { throw Malformed() }
            return .fixed32(value)
        default: throw Malformed()
        }
    }

    private static func varint(_ bytes: inout ByteBuffer) throws(Malformed) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard let byte = bytes.readInteger(as: UInt8.self), shift < 63 || byte <= 1 else { throw Malformed() }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw Malformed()
    }

    // MARK: Reading

    package func all(_ number: Int) -> [ByteBuffer] {
        fields.compactMap { field in
            if field.number == number, case .bytes(let bytes) = field.value { bytes } else { nil }
        }
    }

    /// The last of a field's values, as protobuf has it.
    package func bytes(_ number: Int) -> ByteBuffer? { all(number).last }

    package func text(_ number: Int) -> String { bytes(number).map { String(buffer: $0) } ?? "" }

    package func number(_ number: Int) -> UInt64 {
        for field in fields.reversed() where field.number == number {
            if case .number(let value) = field.value { return value }
        }
        return 0
    }

    /// A `map<string, string>`.
    package func map(_ number: Int) throws(Malformed) -> [(key: String, value: String)] {
        var pairs: [(key: String, value: String)] = []
        for entry in all(number) {
            let entry = try ProtoMessage(entry)
            pairs.append((entry.text(1), entry.text(2)))
        }
        return pairs
    }

    // MARK: Writing

    package mutating func add(_ number: Int, _ value: UInt64) {
        fields.append(Field(number: number, value: .number(value)))
    }

    package mutating func add(_ number: Int, _ text: String) { add(number, ByteBuffer(string: text)) }

    package mutating func add(_ number: Int, _ bytes: ByteBuffer) {
        fields.append(Field(number: number, value: .bytes(bytes)))
    }

    package mutating func add(_ number: Int, _ message: ProtoMessage) { add(number, message.buffer) }

    package mutating func add(_ number: Int, key: String, value: String) {
        var entry = ProtoMessage()
        entry.add(1, key)
        entry.add(2, value)
        add(number, entry)
    }

    package var buffer: ByteBuffer {
        var out = ByteBuffer()
        for field in fields {
            let key = UInt64(field.number) << 3
            switch field.value {
            case .number(let value):
                Self.write(key, &out)
                Self.write(value, &out)
            case .bytes(let bytes):
                Self.write(key | 2, &out)
                Self.write(UInt64(bytes.readableBytes), &out)
                out.writeImmutableBuffer(bytes)
            case .fixed64(let value):
                Self.write(key | 1, &out)
                out.writeInteger(value, endianness: .little)
            case .fixed32(let value):
                Self.write(key | 5, &out)
                out.writeInteger(value, endianness: .little)
            }
        }
        return out
    }

    private static func write(_ value: UInt64, _ out: inout ByteBuffer) {
        var value = value
        while value >= 0x80 {
            out.writeInteger(UInt8(value & 0x7f | 0x80))
            value >>= 7
        }
        out.writeInteger(UInt8(value))
    }
}
