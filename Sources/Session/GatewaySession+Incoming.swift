import Fleet
import Link
import Logging
package import NIOCore
import Synchronization
import Trust
import Wire

extension GatewaySession {
    /// Accepts direct links from other nodes of the tenant until the returned channel is closed.
    /// - Throws: `.unavailable` when the address cannot be listened on.
    package func listen(host: String, port: Int) async throws(SessionError) -> any Channel {
        do {
            return try await Link.listen(
                on: host, port: port, tls: { try LinkTLS.server(credentials: self.credentials) }, group: loop,
                configuration: configuration.link, logger: logger, accept: accept,
                connected: { link in self.admit(link) }
            ).get()
        } catch {
            let address = Endpoint(host: host, port: port)
            throw SessionError(
                .unavailable, "\(address) cannot be listened on; is another program there?", cause: error)
        }
    }

    /// Keeps a link that another node made, if it may have one.
    private func admit(_ link: LinkConnection) {
        guard let peer = link.peer, peer.node != nil, peer.tenant == tenant else {
            logger.warning("refused a link", metadata: ["peer": "\(link.peer.map(\.description) ?? "nobody")"])
            return link.close(nil)
        }
        links.keep(incoming: link)
    }

    /// The gateway opens a stream only to carry another node's link.
    func acceptFromGateway(_ stream: any Channel, _ gateway: LinkConnection) -> EventLoopFuture<Void> {
        stream.eventLoop.makeCompletedFuture {
            try stream.pipeline.syncOperations.addHandler(
                FirstMessageHandler.streamOpen { channel, open in
                    guard case .relayed(let relayed)? = open.kind else {
                        return channel.eventLoop.makeFailedFuture(
                            SessionError(.malformed, "the gateway opened a stream of an unknown kind"))
                    }
                    return self.acceptRelayed(channel, from: relayed.origin)
                })
        }
    }

    private func acceptRelayed(_ channel: any Channel, from origin: String) -> EventLoopFuture<Void> {
        do {
            let tls = try LinkTLS.server(credentials: credentials)
            // The handshake's bytes are still held: the link completes only after this future does.
            Link.attach(
                to: channel, role: .server, tls: tls, configuration: configuration.link, logger: logger, accept: accept
            ).whenComplete { result in
                switch result {
                case .success(let link): self.admit(link)
                case .failure(let error):
                    self.logger.info("a relayed link failed", metadata: ["origin": "\(origin)", "error": "\(error)"])
                    channel.close(promise: nil)
                }
            }
            return channel.eventLoop.makeSucceededVoidFuture()
        } catch {
            return channel.eventLoop.makeFailedFuture(error)
        }
    }
}
