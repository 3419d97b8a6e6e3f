internal import NIOCore

/// Finds the messages in the pipe's bytes; holds at most one message that is not complete.
struct MessageDecoder {
    private var input = ByteBuffer()

    mutating func feed(_ bytes: ByteBuffer) {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(bytes)
        }
    }

    /// Whether the pipe ended in the middle of a message.
    var isMidway: Bool { input.readableBytes > 0 }

    /// What was fed behind the last message.
    mutating func takeRest() -> ByteBuffer {
        defer { input = ByteBuffer() }
        return input
    }

    /// Takes the first message, as it is written, from bytes that begin with a whole one.
    static func split(_ bytes: inout ByteBuffer) -> ByteBuffer? {
        bytes.getInteger(at: bytes.readerIndex, as: UInt32.self).flatMap { bytes.readSlice(length: 4 + Int($0)) }
    }

    /// Nil until more is fed.
    mutating func next() throws(MountError) -> Message? {
        guard let length = input.getInteger(at: input.readerIndex, as: UInt32.self) else { return nil }
        guard (1...UInt32(Message.limit)).contains(length) else {
            throw .violation("the mount's other side announced a message of \(length) bytes")
        }
        guard input.readableBytes >= 4 + Int(length) else { return nil }
        input.moveReaderIndex(forwardBy: 4)
        guard let body = input.readSlice(length: Int(length)) else { return nil }
        return try Message(body)
    }
}
