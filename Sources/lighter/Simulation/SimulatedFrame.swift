import NIOCore
import Wire

/// One message of the gateway's, read no further than it matters.
enum SimulatedFrame {
    /// A push of the fleet, of which only the beginning is read: its size and revision, and whether more parts follow.
    case push(bytes: Int, revision: UInt64, isLast: Bool)
    case message(Lighter_V1_Envelope.OneOf_Body?)

    /// The envelope's field `fleet_push`, as its first two bytes.
    private static let pushTag: [UInt8] = [0x82, 0x01]

    /// Takes the next whole frame; nil when more bytes are needed.
    static func next(_ buffer: inout ByteBuffer) throws -> SimulatedFrame? {
        var ahead = buffer
        guard let length = varint(&ahead), let body = ahead.readSlice(length: Int(clamping: length)) else { return nil }
        let whole = buffer.readableBytes - ahead.readableBytes
        if body.readableBytesView.starts(with: pushTag) {
            buffer = ahead
            return push(body, bytes: whole)
        }
        var decoder = DelimitedDecoder()
        decoder.feed(buffer.readableBytesView.prefix(whole))
        buffer = ahead
        return .message(try decoder.next(Lighter_V1_Envelope.self)?.body)
    }

    /// Reads the numbers that stand before the nodes.
    private static func push(_ body: ByteBuffer, bytes: Int) -> SimulatedFrame {
        var body = body
        body.moveReaderIndex(forwardBy: pushTag.count)
        var (revision, isLast) = (UInt64(0), true)
        _ = varint(&body)
        while let tag = varint(&body), tag & 7 == 0, let value = varint(&body) {
            if tag == 1 << 3 { revision = value }
            if tag == 5 << 3 { isLast = value == 0 }
        }
        return .push(bytes: bytes, revision: revision, isLast: isLast)
    }

    private static func varint(_ buffer: inout ByteBuffer) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = buffer.readInteger(as: UInt8.self) else { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }
}
