package import NIOCore
package import Trust

/// Sets up the channel of a stream that the peer opens, as a channel initializer does; a failure refuses the stream.
///
/// Called on the link's event loop. Bytes that the peer has sent already are delivered once the future succeeds.
package typealias StreamAcceptor =
    @Sendable (_ stream: any Channel, _ link: LinkConnection) -> EventLoopFuture<Void>

/// One link: a connection to a peer that carries many byte streams both ways. Everything runs on one event loop.
package final class LinkConnection: Sendable {
    /// Who the peer is, from its certificate; nil for a peer that is only joining, and on a plain channel.
    package let peer: PeerIdentity?
    package let eventLoop: any EventLoop
    /// Succeeds after this end's `close(nil)`; otherwise fails with the `LinkError` that says why the link ended.
    package let closed: EventLoopFuture<Void>
    private let handler: NIOLoopBound<LinkHandler>
    private let measures: LinkMeasures

    /// On the event loop of `handler`'s channel only.
    init(peer: PeerIdentity?, handler: LinkHandler, eventLoop: any EventLoop) {
        self.peer = peer
        self.eventLoop = eventLoop
        self.closed = handler.closedPromise.futureResult
        self.handler = NIOLoopBound(handler, eventLoop: eventLoop)
        self.measures = handler.measures
    }

    /// The smoothed round-trip time; nil until the first ping is answered.
    package var rtt: Duration? { measures.roundTrip }

    /// The best recent rate in bytes per second, received or sent; 0 until measured.
    package var throughput: Double { measures.throughput }

    /// Whether streams can be opened, as far as this end knows.
    package var isActive: Bool { measures.isActive }

    /// Says that the peer speaks by itself, at least as often as this: pings come only when it has not, and measure the round trip
    /// no more, as the answers to what is sent do.
    package func expectWord(every interval: Duration) {
        eventLoop.execute { self.handler.value.expectWord(every: interval) }
    }

    /// Asks whether the peer is there still, where nothing was heard for a while: a link that is not answered ends.
    package func askIfQuiet() {
        eventLoop.execute { self.handler.value.askIfQuiet() }
    }

    /// Opens a stream as a child channel on the link's event loop.
    ///
    /// Costs no round trip: what is written within the same tick travels with the opening. Half-closure is allowed;
    /// `autoRead` is obeyed, the peer's window is given back as bytes are read; writability follows the peer's window
    /// and the link. The channel takes and gives `ByteBuffer`s. Fails with a `LinkError` when the link is closed,
    /// closing or full.
    package func openStream(
        _ initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        let promise = eventLoop.makePromise(of: (any Channel).self)
        if eventLoop.inEventLoop {
            handler.value.open(initializer, promise: promise)
        } else {
            eventLoop.execute { self.handler.value.open(initializer, promise: promise) }
        }
        return promise.futureResult
    }

    /// Says go-away to the peer, then closes; streams that are open end with `reason`.
    ///
    /// What streams have flushed is still sent as far as the connection takes it at once.
    package func close(_ reason: LinkError?) {
        let code: GoAwayCode = reason?.code == .protocolViolation ? .protocolError : .normal
        if eventLoop.inEventLoop {
            handler.value.close(reason, code: code)
        } else {
            eventLoop.execute { self.handler.value.close(reason, code: code) }
        }
    }
}
