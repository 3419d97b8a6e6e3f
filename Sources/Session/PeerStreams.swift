import Fleet
import Link
import NIOCore
import Trust
import Wire

/// What becomes of the streams that other nodes open on links with this one.
enum PeerStreams {
    /// Hands streams of nodes of `tenant` to `serve`; everything else is closed.
    static func acceptor(tenant: TenantID, serve: @escaping PeerStreamHandler) -> StreamAcceptor {
        { stream, link in
            guard let peer = link.peer, peer.node != nil, peer.tenant == tenant else {
                return stream.eventLoop.makeFailedFuture(
                    SessionError(.denied, "only nodes of tenant \(tenant) may open streams here"))
            }
            return stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(
                    FirstMessageHandler.streamOpen { channel, open in
                        guard let kind = open.kind else {
                            return channel.eventLoop.makeFailedFuture(
                                SessionError(.malformed, "a node opened a stream of an unknown kind"))
                        }
                        return serve(channel, kind, peer)
                    })
            }
        }
    }
}
