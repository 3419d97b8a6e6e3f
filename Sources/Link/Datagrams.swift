package import NIOCore

/// Datagrams over a stream: each behind its length in two bytes, big endian, as UDP itself bounds it.
package struct DatagramDecoder {
    private var buffer = ByteBuffer()

    package init() {}

    package mutating func feed(_ bytes: ByteBuffer) {
        guard buffer.readableBytes > 0 else { return buffer = bytes }
        buffer.discardReadBytes()
        buffer.writeImmutableBuffer(bytes)
    }

    /// The next whole datagram, or nil until more bytes have come.
    package mutating func next() -> ByteBuffer? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt16.self),
            buffer.readableBytes >= 2 + Int(length)
        else { return nil }
        buffer.moveReaderIndex(forwardBy: 2)
        let datagram = buffer.readSlice(length: Int(length))
        // A flow at rest keeps nothing of what has passed.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        return datagram
    }
}

extension FixedSizeRecvByteBufferAllocator {
    /// Room for any datagram that UDP's length can tell of; of what a short one leaves untouched, no memory is taken.
    package static let datagrams = FixedSizeRecvByteBufferAllocator(capacity: Int(UInt16.max))
}

extension ByteBuffer {
    /// This datagram as `DatagramDecoder` reads it; nil when it is longer than a datagram can be.
    package var asDatagram: ByteBuffer? {
        guard let length = UInt16(exactly: readableBytes) else { return nil }
        var framed = ByteBuffer()
        framed.reserveCapacity(2 + readableBytes)
        framed.writeInteger(length)
        framed.writeImmutableBuffer(self)
        return framed
    }
}
