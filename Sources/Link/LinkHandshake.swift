import Logging
import NIOCore
import NIOSSL
import NIOTLS
import Trust

/// Waits behind the TLS handler until the peer is known, then puts the link's own handler in its place.
///
/// Whatever does not become a link in time is closed: silence, plain text, a wrong protocol, a foreign certificate.
final class LinkHandshake: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let role: LinkRole
    private let configuration: LinkConfiguration
    private let logger: Logger
    private let acceptor: StreamAcceptor
    private let established: EventLoopPromise<LinkConnection>
    private var limit: Scheduled<Void>?
    /// Failed, or handed over to the link's own handler.
    private var isDone = false

    init(
        role: LinkRole, configuration: LinkConfiguration, logger: Logger, acceptor: @escaping StreamAcceptor,
        established: EventLoopPromise<LinkConnection>
    ) {
        self.role = role
        self.configuration = configuration
        self.logger = logger
        self.acceptor = acceptor
        self.established = established
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let time = configuration.handshakeTimeout
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        limit = context.eventLoop.scheduleTask(in: TimeAmount(time)) {
            let (handshake, context) = bound.value
            handshake.fail(
                context,
                LinkError(.timedOut, "the peer did not finish the TLS handshake within \(time); is it a Lighter port?"))
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        limit?.cancel()
        if !isDone { established.fail(LinkError(.closed, "this end gave the connection up during the handshake")) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let negotiated)? = event as? TLSUserEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        guard negotiated == LinkTLS.applicationProtocol else {
            fail(
                context,
                LinkError(
                    .notALighterPeer,
                    "the peer speaks TLS, but not \(LinkTLS.applicationProtocol) (\(negotiated ?? "no protocol")); check address and port"
                ))
            return
        }
        do {
            let tls = try context.pipeline.syncOperations.handler(type: NIOSSLHandler.self)
            try establish(context, peer: LinkTLS.peerIdentity(of: tls))
        } catch {
            fail(context, Self.explain(error))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { fail(context, Self.explain(error)) }

    func channelInactive(context: ChannelHandlerContext) {
        fail(
            context, LinkError(.handshakeFailed, "the peer closed the connection during the TLS handshake; see its log")
        )
        context.fireChannelInactive()
    }

    private func establish(_ context: ChannelHandlerContext, peer: PeerIdentity?) throws {
        let handler = LinkHandler(
            role: role, configuration: configuration, logger: logger, measures: LinkMeasures(),
            eventLoop: context.eventLoop, acceptor: acceptor)
        let link = LinkConnection(peer: peer, handler: handler, eventLoop: context.eventLoop)
        handler.connection = link
        try context.pipeline.syncOperations.addHandler(handler, position: .after(self))
        isDone = true
        let established = established
        switch role {
        case .server: established.succeed(link)
        case .client:
            // In TLS 1.3 the client is done before the server has looked at its certificate: only an answer tells.
            let silence = LinkError(.timedOut, "the peer shook hands and then said nothing; is it overloaded?")
            let limit = context.eventLoop.scheduleTask(in: TimeAmount(configuration.handshakeTimeout)) {
                link.close(silence)
            }
            handler.firstFrame.futureResult.whenComplete { result in
                limit.cancel()
                established.completeWith(result.map { link })
            }
        }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    private func fail(_ context: ChannelHandlerContext, _ error: LinkError) {
        guard !isDone else { return }
        isDone = true
        established.fail(error)
        context.close(promise: nil)
    }
}
