internal import NIOCore

/// Reads the body of one message; whatever does not fit is a violation, never a trap.
struct MessageReader {
    private var buffer: ByteBuffer

    init(_ body: ByteBuffer) { buffer = body }

    var isAtEnd: Bool { buffer.readableBytes == 0 }

    private var garbled: MountError { .violation("a message of the mount's other side cannot be read") }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(MountError) -> T {
        guard let value = buffer.readInteger(as: type) else { throw garbled }
        return value
    }

    mutating func flag() throws(MountError) -> Bool {
        let value: UInt8 = try integer()
        guard value <= 1 else { throw garbled }
        return value == 1
    }

    mutating func bytes(_ count: Int, atMost limit: Int) throws(MountError) -> [UInt8] {
        guard count <= limit, let bytes = buffer.readBytes(length: count) else { throw garbled }
        return bytes
    }

    /// What is left of the message.
    mutating func rest(atMost limit: Int) throws(MountError) -> [UInt8] {
        try bytes(buffer.readableBytes, atMost: limit)
    }

    mutating func content() throws(MountError) -> ByteBuffer {
        let count = buffer.readableBytes
        guard count <= Message.pieceLimit, let bytes = buffer.readSlice(length: count) else { throw garbled }
        return bytes
    }

    mutating func path() throws(MountError) -> TreePath {
        let count: UInt16 = try integer()
        guard let path = TreePath(try bytes(Int(count), atMost: TreePath.limit)) else {
            throw .violation("the mount's other side named a path that leads out of it")
        }
        return path
    }

    mutating func entry() throws(MountError) -> Entry {
        guard let entry = Entry(from: &buffer) else { throw garbled }
        return entry
    }

    mutating func digest() throws(MountError) -> Digest {
        guard let words = buffer.readMultipleIntegers(as: (UInt64, UInt64, UInt64, UInt64).self) else { throw garbled }
        return Digest(words: words)
    }

    mutating func attributes() throws(MountError) -> ExtendedAttributes {
        var attributes = ExtendedAttributes.none
        let count: UInt16 = try integer()
        for _ in 0..<count {
            let name = try bytes(Int(try integer(UInt8.self)), atMost: 255)
            let value = try bytes(Int(try integer(UInt32.self)), atMost: ExtendedAttributes.limit)
            guard attributes.append(name, value) else { throw garbled }
        }
        return attributes
    }

    func finish() throws(MountError) {
        guard isAtEnd else { throw garbled }
    }
}
