import Fleet
import Link
import NIOCore
import Trust
import Wire

/// What becomes of the streams that other nodes open on links with this one.
enum PeerStreams {
    /// Hands Docker streams of nodes of `tenant` to the guard; everything else is closed.
    static func acceptor(tenant: TenantID, dockerStream: @escaping DockerStreamHandler) -> StreamAcceptor {
        { stream, link in
            guard let peer = link.peer, peer.node != nil, peer.tenant == tenant else {
                return stream.eventLoop.makeFailedFuture(
                    SessionError(.denied, "only nodes of tenant \(tenant) may open streams here"))
            }
            return stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(
                    FirstMessageHandler.streamOpen { channel, open in
                        guard case .docker(let call)? = open.kind else {
                            return channel.eventLoop.makeFailedFuture(
                                SessionError(.malformed, "a node opened a stream that is no Docker call"))
                        }
                        return dockerStream(channel, call, peer)
                    })
            }
        }
    }
}
