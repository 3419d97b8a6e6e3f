package import NIOCore

/// Datagrams over a stream: each behind its length in two bytes, big endian, as UDP itself bounds it.
package struct DatagramDecoder {
    private var buffer = ByteBuffer()

    package init() {}

    package mutating func feed(_ bytes: ByteBuffer) {
        buffer.discardReadBytes()
        buffer.writeImmutableBuffer(bytes)
    }

    /// The next whole datagram, or nil until more bytes have come.
    package mutating func next() -> ByteBuffer? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt16.self),
            buffer.readableBytes >= 2 + Int(length)
        else { return nil }
        buffer.moveReaderIndex(forwardBy: 2)
        return buffer.readSlice(length: Int(length))
    }
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
