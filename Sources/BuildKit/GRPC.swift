package import NIOCore

/// Takes gRPC's messages out of a stream's data.
package struct GRPCReader: Sendable {
    private let limit: Int
    private var input = ByteBuffer()

    /// - Parameter limit: of one message, in bytes.
    package init(limit: Int) { self.limit = limit }

    package mutating func add(_ data: ByteBuffer) {
        if input.readableBytes == 0 {
            input = data
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(data)
        }
    }

    /// The next whole message; nil when it takes more data.
    /// - Throws: for one that is compressed, or too long.
    package mutating func next() throws(HTTP2Error) -> ByteBuffer? {
        guard let (packed, length) = input.getMultipleIntegers(at: input.readerIndex, as: (UInt8, UInt32).self) else {
            return nil
        }
        guard packed == 0 else { throw HTTP2Error(.protocolError, "a message that is compressed") }
        guard length <= limit else { throw HTTP2Error(.calm, "a message of \(length) bytes") }
        guard input.readableBytes >= 5 + Int(length) else { return nil }
        input.moveReaderIndex(forwardBy: 5)
        return input.readSlice(length: Int(length))
    }

    /// Whether the data ended with the end of a message.
    package var isEmpty: Bool { input.readableBytes == 0 }
}

/// gRPC over HTTP/2, as far as it is spoken here.
package enum GRPC {
    package static let head = [HeaderField(":status", "200"), HeaderField("content-type", "application/grpc")]
    package static let success = [HeaderField("grpc-status", "0")]

    package static func frame(_ message: ByteBuffer) -> ByteBuffer {
        var framed = ByteBuffer()
        framed.writeMultipleIntegers(UInt8(0), UInt32(message.readableBytes))
        framed.writeImmutableBuffer(message)
        return framed
    }

    package static func request(_ path: String, _ metadata: [HeaderField] = []) -> [HeaderField] {
        [
            HeaderField(":method", "POST"), HeaderField(":scheme", "http"), HeaderField(":path", path),
            HeaderField(":authority", "localhost"), HeaderField("content-type", "application/grpc"),
            HeaderField("te", "trailers"),
        ] + metadata
    }

    /// Trailers that tell a failure; 1 is a call that was cancelled, 2 any other.
    package static func failure(_ status: Int, _ message: String) -> [HeaderField] {
        var text = ""
        for byte in message.utf8 {
            if (0x20...0x7e).contains(byte), byte != UInt8(ascii: "%") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return [HeaderField("grpc-status", "\(status)"), HeaderField("grpc-message", text)]
    }
}
