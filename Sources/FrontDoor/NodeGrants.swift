internal import Engine
internal import Fleet
internal import Leases
internal import NIOCore

/// What this device has granted a node that runs exclusive work of its, and whether it hears the node.
@NodeLoop
final class NodeGrants {
    private(set) var lease: GrantedLease
    /// The device has given the node up: it grants nothing more, until the node turns out to have kept its work.
    private(set) var isGivenUp = false
    private var lastHeard: UInt64?

    /// - Parameter term: what an earlier run of the daemon may have granted for.
    init(term: Duration) { lease = GrantedLease(runsOut: Self.now + Self.nanoseconds(term)) }

    static var now: UInt64 { NIODeadline.now().uptimeNanoseconds }
    static func nanoseconds(_ duration: Duration) -> UInt64 { UInt64(max(0, TimeAmount(duration).nanoseconds)) }

    /// The node asks; what it is granted, nil for nothing.
    func heard(_ term: Duration) -> UInt64? {
        lastHeard = Self.now
        guard !isGivenUp else { return nil }
        let granted = Self.nanoseconds(term)
        lease.grant(granted, at: Self.now)
        return granted
    }

    /// Whether the node has asked within `duration`.
    func wasHeard(within duration: Duration) -> Bool {
        lastHeard.map { Self.now - $0 < Self.nanoseconds(duration) } ?? false
    }

    func giveUp() { isGivenUp = true }
    func takeBack() { isGivenUp = false }
}

/// The device's end of a lease stream: each question of the node's is answered with what it is granted.
final class LeaseHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The node asked; what it is granted in nanoseconds, nil for nothing.
    private let heard: @Sendable @NodeLoop () -> UInt64?
    private var waiting = ByteBuffer()

    init(heard: @escaping @Sendable @NodeLoop () -> UInt64?) { self.heard = heard }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        waiting.writeImmutableBuffer(unwrapInboundIn(data))
        var answer = ByteBuffer()
        while let sentAt = waiting.readInteger(as: UInt64.self) {
            let heard = heard
            guard let granted = NodeLoop.assumeIsolated({ heard() }) else { continue }
            answer.writeInteger(sentAt)
            answer.writeInteger(granted)
        }
        waiting.discardReadBytes()
        if answer.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(answer), promise: nil) }
    }
}
