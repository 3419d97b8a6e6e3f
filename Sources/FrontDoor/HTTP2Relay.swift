internal import BuildKit
internal import Engine
internal import NIOCore

/// One stream passed on as another of a second connection, as fast as that takes it.
@NodeLoop
final class HTTP2Relay: HTTP2StreamOwner {
    private let peer: HTTP2Peer
    private let id: UInt32
    /// The other end; let go of when both streams have closed.
    private var other: HTTP2Relay?
    private var isOver = false
    /// Whether the nearer side has been given an answer's head.
    private(set) var hasAnswered = false

    private init(_ peer: HTTP2Peer, _ id: UInt32) {
        self.peer = peer
        self.id = id
    }

    /// - Returns: the end that hears the first stream, to be made its owner.
    static func join(_ id: UInt32, of peer: HTTP2Peer, to second: HTTP2Peer, _ fields: [HeaderField]) -> HTTP2Relay {
        let near = HTTP2Relay(peer, id)
        second.open(fields) { other in
            let far = HTTP2Relay(second, other)
            near.other = far
            far.other = near
            return far
        }
        return near
    }

    /// Ends the further stream alone; the nearer one is somebody else's then.
    func detach() {
        guard let far = other else { return }
        far.peer.reset(far.id)
        far.other = nil
        other = nil
    }

    func received(_ fields: [HeaderField], ends: Bool) {
        guard let other else { return }
        other.hasAnswered = true
        other.peer.send(fields, on: other.id, ends: ends)
    }

    func received(_ data: ByteBuffer, ends: Bool) {
        guard let other else { return peer.consumed(data.readableBytes, on: id) }
        if data.readableBytes == 0 && !ends { return }
        other.peer.send(data, on: other.id, ends: ends)
    }

    func reset(_ code: UInt32) {
        let far = other
        other = nil
        far?.other = nil
        far?.peer.reset(far?.id ?? 0, code)
    }

    func sent(_ count: Int) { if let other { other.peer.consumed(count, on: other.id) } }

    func closed() {
        isOver = true
        guard let other, other.isOver else { return }
        other.other = nil
        self.other = nil
    }
}
