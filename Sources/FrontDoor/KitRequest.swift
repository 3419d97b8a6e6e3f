internal import BuildKit
internal import Engine
internal import NIOCore

/// A request of one message, read whole.
@NodeLoop
final class KitRequest: HTTP2StreamOwner {
    private static let limit = 16 << 20

    private let peer: HTTP2Peer
    private let id: UInt32
    private var data = ByteBuffer()
    private var isRefused = false
    private let whole: @NodeLoop (ProtoMessage?, ByteBuffer) -> Void

    /// - Parameter whole: told the message, nil for what is none, and all that came.
    init(_ peer: HTTP2Peer, _ id: UInt32, _ whole: @escaping @NodeLoop (ProtoMessage?, ByteBuffer) -> Void) {
        self.peer = peer
        self.id = id
        self.whole = whole
    }

    func received(_ fields: [HeaderField], ends: Bool) {}

    func received(_ more: ByteBuffer, ends: Bool) {
        peer.consumed(more.readableBytes, on: id)
        guard !isRefused else { return }
        guard data.readableBytes + more.readableBytes <= Self.limit else {
            isRefused = true
            data = ByteBuffer()
            let trailers = GRPC.failure(8, "lighter: the request is over \(Self.limit) bytes")
            return peer.send(GRPC.head + trailers, on: id, ends: true)
        }
        data.writeImmutableBuffer(more)
        guard ends else { return }
        var reader = GRPCReader(limit: Self.limit)
        reader.add(data)
        let message = (try? reader.next()).flatMap { try? ProtoMessage($0) }
        whole(reader.isEmpty ? message : nil, data)
    }

    func reset(_ code: UInt32) {}
}
