import Authority
import Fleet
import FoundationEssentials
import Ledger
import Link
import Logging
import NIOCore
import Session
import Synchronization
import Trust
import Wire

extension Gateway {
    /// A peer without a certificate may ask one thing.
    func serveJoining(_ peer: ControlPeer) async {
        let timer = peer.link.eventLoop.scheduleTask(in: .seconds(30)) {
            peer.link.close(LinkError(.timedOut, "the machine did not finish joining"))
        }
        defer { timer.cancel() }
        for await envelope in peer.envelopes {
            guard case .joinRequest(let request)? = envelope.body else {
                peer.finished()
                peer.dismiss(GatewayError(.denied, "a machine without a certificate may only join"))
                continue
            }
            do {
                peer.reply(to: envelope.request, .joinReply(try await join(request)))
            } catch {
                logger.warning("a machine did not join", metadata: ["error": "\(error)"])
                peer.reply(to: envelope.request, .failure(failure(of: error)))
            }
            peer.finished()
        }
    }

    private func join(_ request: Lighter_V1_JoinRequest) async throws -> Lighter_V1_JoinReply {
        guard joins.withLock({ $0.take(now: .now()) }) else {
            throw GatewayError(.unavailable, "too many machines are joining; try again in a few seconds")
        }
        let token = try read(request.token)
        let publicKey = Array(request.publicKey)
        let proven = Enrolment.proven(token: request.token, node: request.node, publicKey: publicKey)
        guard NodeKey.isValid(proof: Array(request.proof), over: proven, publicKeyDER: publicKey) else {
            throw GatewayError(.denied, "the request was not signed by the key that it names")
        }
        let (node, tenant) = try await redeem(token, wanted: try name(request.node))
        let chain = try authority.issue(
            to: PeerIdentity(role: .node(node), tenant: tenant), publicKeyDER: publicKey,
            validFor: configuration.certificateLife)
        logger.info("a machine joined", metadata: ["node": "\(node)", "tenant": "\(tenant)"])
        var reply = Lighter_V1_JoinReply()
        reply.certificateChain = chain
        reply.caCertificate = authority.certificatePEM
        reply.ticketPublicKey = Data(authority.ticketSigner.publicKey)
        reply.tenant = tenant.name
        reply.fleet = authority.fleet
        reply.node = node.name
        return reply
    }

    private func read(_ text: String) throws(GatewayError) -> JoinToken {
        let token: JoinToken
        do { token = try JoinToken(text) } catch { throw GatewayError(.invalid, error.message) }
        guard token.caDigest == authority.certificateDigest else {
            throw GatewayError(.denied, "this join token is another fleet's")
        }
        return token
    }

    private func name(_ wanted: String) throws(GatewayError) -> NodeID? {
        guard !wanted.isEmpty else { return nil }
        do { return try NodeID(wanted) } catch { throw GatewayError(.invalid, "\(error)") }
    }
}
