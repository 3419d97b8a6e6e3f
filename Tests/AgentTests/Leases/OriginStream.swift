import Engine
import Fleet
import LighterTesting
import NIOCore
import NIOPosix
import Trust
import Wire

@testable import Agent

#if canImport(Glibc)
    import Glibc
#endif

/// The origin's end of a stream of leases.
@NodeLoop
final class OriginStream: ChannelSide {
    private var channel: (any Channel)?
    private var server: (any Channel)?
    private var bytes = ByteBuffer()
    private var isEnded = false
    private var waiter: CheckedContinuation<Void, Never>?

    static func open(_ leases: LeaseRig) async throws -> OriginStream {
        let path = "\(leases.scratch.path)/stream"
        let (desk, origin) = (leases.rig.desk, leases.rig.origin)
        let server = try await ServerBootstrap(group: NodeLoop.shared.loop)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                desk.accept(
                    stream: channel, kind: .lease(.init()), peer: PeerIdentity(role: .node(origin), tenant: .main))
            }
            .bind(unixDomainSocketPath: path).get()
        let stream = OriginStream()
        stream.channel = try await ClientBootstrap(group: NodeLoop.shared.loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ChannelSideHandler(stream))
                }
            }
            .connect(unixDomainSocketPath: path).get()
        stream.server = server
        return stream
    }

    func channelActive() {}
    func received(_ more: ByteBuffer) {
        bytes.writeImmutableBuffer(more)
        wake()
    }
    func readComplete() {}
    func writabilityChanged() {}
    func inputClosed() {
        isEnded = true
        wake()
    }
    func channelInactive() { inputClosed() }

    private func wake() {
        waiter?.resume()
        waiter = nil
    }

    private func news() async { await withCheckedContinuation { waiter = $0 } }

    /// What the node asks next; nil at the stream's end.
    func question() async -> UInt64? {
        while bytes.readableBytes < 8, !isEnded { await news() }
        return bytes.readInteger()
    }

    func answer(_ sentAt: UInt64, term: UInt64) {
        var answer = ByteBuffer()
        answer.writeMultipleIntegers(sentAt, term)
        channel?.writeAndFlush(answer, promise: nil)
    }

    func end() async {
        while !isEnded { await news() }
        try? await server?.close().get()
    }
}
