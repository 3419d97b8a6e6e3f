package import NIOCore

/// What a pass over a tree has found and sent.
package struct TreeTally: Sendable, Hashable {
    /// Of contents that differed, uncompressed.
    package var bytes: Int64 = 0
    /// What the tree holds, without its root.
    package var entries: Int64 = 0

    package init() {}
}

/// What travels between a tree and its copy: a byte for the kind, four for the length, then so many.
package enum TreeFrame: Sendable {
    /// Steps, compressed; each frame can be read by itself.
    case steps(ByteBuffer)
    /// A pass is complete; the copy answers with the same when it is as the tree was.
    case end(TreeTally)
    /// It cannot go on, as a person reads it.
    case failed(String)
    /// From whoever moves it: a pass is wanted.
    case pass

    static let limit = 4 << 20

    package var bytes: ByteBuffer {
        var buffer = ByteBuffer()
        switch self {
        case .steps(let steps):
            buffer.writeInteger(UInt8(0))
            buffer.writeInteger(UInt32(steps.readableBytes))
            buffer.writeImmutableBuffer(steps)
        case .end(let tally):
            buffer.writeMultipleIntegers(UInt8(1), UInt32(16), tally.bytes, tally.entries)
        case .failed(let reason):
            let text = Array(reason.utf8.prefix(4096))
            buffer.writeMultipleIntegers(UInt8(2), UInt32(text.count))
            buffer.writeBytes(text)
        case .pass: buffer.writeMultipleIntegers(UInt8(3), UInt32(0))
        }
        return buffer
    }
}

/// Cuts what a stream brings into frames.
package struct TreeFrameReader {
    private var buffer = ByteBuffer()

    package init() {}

    package mutating func add(_ bytes: ByteBuffer) {
        buffer.discardReadBytes()
        buffer.writeImmutableBuffer(bytes)
    }

    /// Nil when more has to come.
    package mutating func next() throws(MountError) -> TreeFrame? {
        guard buffer.readableBytes >= 5, let length: UInt32 = buffer.getInteger(at: buffer.readerIndex + 1) else {
            return nil
        }
        guard length <= TreeFrame.limit else { throw .violation("a frame of \(length) bytes") }
        guard buffer.readableBytes >= 5 + Int(length), let kind: UInt8 = buffer.readInteger() else { return nil }
        buffer.moveReaderIndex(forwardBy: 4)
        guard var payload = buffer.readSlice(length: Int(length)) else { return nil }
        switch kind {
        case 0: return .steps(payload)
        case 1:
            var tally = TreeTally()
            tally.bytes = payload.readInteger() ?? 0
            tally.entries = payload.readInteger() ?? 0
            return .end(tally)
        case 2: return .failed(String(buffer: payload))
        case 3: return .pass
        default: throw .violation("a frame of kind \(kind)")
        }
    }
}
