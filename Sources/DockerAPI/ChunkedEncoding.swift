package import NIOCore

/// Writes chunked framing.
package enum ChunkedEncoding {
    /// One chunk; nothing for an empty payload, which would end the body.
    package static func chunk(_ payload: ByteBuffer) -> ByteBuffer {
        guard payload.readableBytes > 0 else { return ByteBuffer() }
        var out = ByteBuffer()
        out.reserveCapacity(payload.readableBytes + 20)
        out.writeString(String(payload.readableBytes, radix: 16))
        out.writeString("\r\n")
        out.writeImmutableBuffer(payload)
        out.writeString("\r\n")
        return out
    }

    /// The end of a body without trailers.
    package static let end = ByteBuffer(string: "0\r\n\r\n")
}
