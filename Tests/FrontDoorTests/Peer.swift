import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// One end of a connection, as a test reads and writes it; bytes are gathered until they are asked for.
final class Peer: Sendable {
    struct Ended: Error { let rest: String }

    private struct State {
        var bytes = ByteBuffer()
        /// How often something came or ended: what a waiter has seen, it does not wait for again.
        var changes = 0
        var hasEnded = false
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    let channel: any Channel
    private let state = Mutex(State())

    fileprivate init(_ channel: any Channel) { self.channel = channel }

    /// Takes over a channel, on its event loop.
    static func adopt(_ channel: any Channel) throws -> Peer {
        let peer = Peer(channel)
        try channel.pipeline.syncOperations.addHandler(Gatherer(peer))
        return peer
    }

    static func connect(to path: String) async throws -> Peer {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(unixDomainSocketPath: path) { channel in
                channel.eventLoop.makeCompletedFuture { try Peer.adopt(channel) }
            }
    }

    // MARK: Writing

    func send(_ text: String) async throws { try await send(ByteBuffer(string: text)) }
    func send(_ buffer: ByteBuffer) async throws { try await channel.writeAndFlush(buffer) }
    /// Ends this side's direction behind what was sent.
    func finish() async throws { try await channel.close(mode: .output) }
    func close() async { try? await channel.close() }
    /// Stops, or goes on with, taking bytes from the socket.
    func setReading(_ reading: Bool) async throws { try await channel.setOption(.autoRead, value: reading).get() }

    // MARK: Reading

    /// Waits until `take` finds what it looks for in the bytes that have come.
    func receive<T>(_ take: (inout ByteBuffer) throws -> T?) async throws -> T {
        while true {
            let (found, seen): (T?, Int) = try state.withLock { state in
                if let found = try take(&state.bytes) { return (found, state.changes) }
                if state.hasEnded { throw Ended(rest: String(buffer: state.bytes)) }
                return (nil, state.changes)
            }
            if let found { return found }
            await change(since: seen)
        }
    }

    private func change(since seen: Int) async {
        await withCheckedContinuation { continuation in
            let isNews = state.withLock { state in
                if state.hasEnded || state.changes != seen { return true }
                state.waiter = continuation
                return false
            }
            if isNews { continuation.resume() }
        }
    }

    /// Everything up to and with `marker`.
    func receive(to marker: String) async throws -> String {
        try await receive { bytes in
            guard let range = bytes.readableBytesView.firstRange(of: Array(marker.utf8)) else { return nil }
            return bytes.readString(length: range.upperBound - bytes.readerIndex)
        }
    }

    func receive(count: Int) async throws -> ByteBuffer { try await receive { $0.readSlice(length: count) } }
    func receiveHead() async throws -> String { try await receive(to: "\r\n\r\n") }

    /// Everything until the other side's end.
    func receiveToEnd() async throws -> ByteBuffer {
        while true {
            let (hasEnded, seen) = state.withLock { ($0.hasEnded, $0.changes) }
            if hasEnded { break }
            await change(since: seen)
        }
        return state.withLock { state in
            defer { state.bytes.clear() }
            return state.bytes
        }
    }

    /// What has come and was not asked for.
    var unread: String { state.withLock { String(buffer: $0.bytes) } }
    var unreadCount: Int { state.withLock { $0.bytes.readableBytes } }
    var isClosed: Bool { state.withLock { $0.isClosed } }
    /// Waits for the whole connection's end.
    func closed() async throws { try await channel.closeFuture.get() }

    fileprivate func came(_ buffer: ByteBuffer) {
        state.withLock { state in
            state.bytes.writeImmutableBuffer(buffer)
            state.changes += 1
            return state.waiter.take()
        }?.resume()
    }

    fileprivate func ended(whole: Bool) {
        state.withLock { state in
            state.hasEnded = true
            state.changes += 1
            state.isClosed = state.isClosed || whole
            return state.waiter.take()
        }?.resume()
    }
}

private final class Gatherer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let peer: Peer

    init(_ peer: Peer) { self.peer = peer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { peer.came(unwrapInboundIn(data)) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { peer.ended(whole: false) }
    }

    func channelInactive(context: ChannelHandlerContext) { peer.ended(whole: true) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
