internal import BuildKit
internal import DockerAPI
internal import Engine
internal import NIOCore

/// Who has a stream of an HTTP/2 connection.
@NodeLoop
protocol HTTP2StreamOwner: AnyObject, Sendable {
    /// An answer's head, or trailers.
    func received(_ fields: [HeaderField], ends: Bool)
    /// To be followed by `consumed`, at once or later.
    func received(_ data: ByteBuffer, ends: Bool)
    /// The stream has ended before its time, or its connection has.
    func reset(_ code: UInt32)
    /// So many bytes that were given to `send` have left.
    func sent(_ count: Int)
    /// Nothing more is told of the stream.
    func closed()
}

extension HTTP2StreamOwner {
    func sent(_ count: Int) {}
    func closed() {}
}

/// An HTTP/2 connection on a channel, and the owners of its streams.
@NodeLoop
final class HTTP2Peer: RawSide {
    /// Bytes that may wait for the other side.
    private static let patience = 256 << 10

    private var connection: HTTP2Connection
    private let channel: any Channel
    private var owners: [UInt32: any HTTP2StreamOwner] = [:]
    private var isFlushing = false
    private var isHearing = false
    /// Told when what was said has left, or never will.
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private(set) var isClosed = false
    /// Takes a stream that the other side opens; nil refuses it.
    var accept: (@NodeLoop (_ id: UInt32, _ fields: [HeaderField]) -> (any HTTP2StreamOwner)?)?
    /// Told once when the connection is over.
    var closed: (@NodeLoop () -> Void)?

    init(_ role: HTTP2Connection.Role, _ channel: any Channel) {
        connection = HTTP2Connection(role)
        self.channel = channel
        channel.eventLoop.execute { NodeLoop.assumeIsolated { self.flush() } }
    }

    /// Changes the protocol of a fresh connection to HTTP/2, in which this side has the role.
    static func dial(
        _ dialer: any DockerDialer, _ head: RequestHead, as role: HTTP2Connection.Role, offer: PackingOffer? = nil,
        _ prepare: @escaping @NodeLoop (HTTP2Peer) -> Void
    ) async throws {
        try await Upgrading.dial(dialer, head, offer: offer) { channel in
            let peer = HTTP2Peer(role, channel)
            prepare(peer)
            return peer
        }
    }

    // MARK: Saying

    func open(_ fields: [HeaderField], ends: Bool = false, _ owner: (UInt32) -> any HTTP2StreamOwner) {
        let id = connection.open(fields, ends: ends)
        let owner = owner(id)
        guard !isClosed else { return owner.reset(HTTP2Error.Code.cancel.rawValue) }
        owners[id] = owner
        flush()
    }

    /// Whether a stream is still open.
    func has(_ id: UInt32) -> Bool { connection.has(id) && !isClosed }

    func give(_ id: UInt32, to owner: any HTTP2StreamOwner) {
        if owners[id] != nil { owners[id] = owner }
    }

    func send(_ fields: [HeaderField], on id: UInt32, ends: Bool) {
        connection.send(fields, on: id, ends: ends)
        flush()
    }

    func send(_ data: ByteBuffer, on id: UInt32, ends: Bool = false) {
        connection.send(data, on: id, ends: ends)
        flush()
    }

    func reset(_ id: UInt32, _ code: UInt32 = HTTP2Error.Code.cancel.rawValue) {
        owners[id] = nil
        connection.reset(id, code)
        flush()
    }

    func consumed(_ count: Int, on id: UInt32) {
        connection.consumed(count, on: id)
        flush()
    }

    /// Returns when so much of what was said has left that there is room for more.
    func drained() async {
        guard !isClosed, connection.queuedBytes > Self.patience else { return }
        await withCheckedContinuation { waiters.append($0) }
    }

    private func wake() {
        guard isClosed || connection.queuedBytes <= Self.patience else { return }
        let all = waiters
        waiters = []
        for waiter in all { waiter.resume() }
    }

    func close() {
        guard !isClosed else { return }
        connection.goAway(0)
        end()
    }

    // MARK: Hearing

    func received(_ bytes: ByteBuffer) {
        guard !isClosed else { return }
        isHearing = true
        do throws(HTTP2Error) {
            for event in try connection.receive(bytes) { take(event) }
            isHearing = false
        } catch {
            isHearing = false
            connection.goAway(error.code.rawValue)
            return end()
        }
        flush()
    }

    private func take(_ event: HTTP2Connection.Event) {
        switch event {
        case .head(let id, let fields, let ends):
            if let owner = owners[id] { return owner.received(fields, ends: ends) }
            guard connection.has(id) else { return }
            guard let owner = accept?(id, fields) else {
                return connection.reset(id, HTTP2Error.Code.refusedStream.rawValue)
            }
            owners[id] = owner
            if ends { owner.received(ByteBuffer(), ends: true) }
        case .data(let id, let data, let ends):
            if let owner = owners[id] {
                owner.received(data, ends: ends)
            } else {
                connection.consumed(data.readableBytes, on: id)
            }
        case .reset(let id, let code): owners.removeValue(forKey: id)?.reset(code)
        // What is open goes on to its end; what comes after is refused by the other side.
        case .goAway: break
        }
    }

    func inputClosed() {
        guard !isClosed else { return }
        end()
    }

    func writabilityChanged() { flush() }

    private func flush() {
        guard !isFlushing, !isClosed else { return }
        isFlushing = true
        while channel.isWritable, connection.hasOutput {
            let (bytes, sent) = connection.drain()
            channel.writeAndFlush(bytes, promise: nil)
            for (id, count) in sent { owners[id]?.sent(count) }
        }
        isFlushing = false
        if !waiters.isEmpty { wake() }
        // A stream may be over whose last words are still to be told.
        guard !isHearing else { return }
        for id in connection.takeClosed() { owners.removeValue(forKey: id)?.closed() }
    }

    private func end() {
        isClosed = true
        // What was said already still goes out.
        let (bytes, _) = connection.drain()
        let channel = channel
        channel.writeAndFlush(bytes).whenComplete { _ in channel.close(promise: nil) }
        let left = owners
        owners = [:]
        for owner in left.values { owner.reset(HTTP2Error.Code.cancel.rawValue) }
        accept = nil
        wake()
        closed?()
        closed = nil
    }
}
