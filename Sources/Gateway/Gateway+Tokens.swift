import Fleet
import FoundationEssentials
import Ledger
import Logging
import Trust
import Wire

extension Gateway {
    /// Uses up the token and reserves the name, which is drawn where none was asked for.
    func redeem(_ token: JoinToken, wanted: NodeID?) async throws -> (node: NodeID, tenant: TenantID) {
        // Two drawn names are hardly ever the same, let alone four times.
        for _ in 0..<4 {
            let name = try wanted ?? NodeID("node-" + WorkloadID.random().hex.prefix(8))
            let outcome = try await ledger.redeemToken(
                id: token.id, secretHash: token.secretHash, node: name, isRejoining: !registry.isConnected(name),
                now: Date().timeIntervalSince1970)
            if case .nameTaken = outcome, wanted == nil { continue }
            let redeemed = try redeemed(outcome)
            guard !redeemed.isOperator else {
                throw GatewayError(.denied, "this token makes an operator, not a node; ask for a node's token")
            }
            registry.joined(name, tenant: redeemed.tenant)
            return (name, redeemed.tenant)
        }
        throw GatewayError(.unavailable, "no free name was found; join with --name NAME")
    }

    private func redeemed(_ outcome: TokenOutcome) throws(GatewayError) -> StoredToken {
        switch outcome {
        case .redeemed(let token): return token
        // One answer for both, so that nobody learns which ids exist.
        case .unknown, .wrongSecret:
            throw GatewayError(.denied, "the gateway does not know this join token; ask for a new one")
        case .used(let by, _):
            throw GatewayError(
                .denied, "this join token was used already\(by.isEmpty ? "" : ", by '\(by)'"); ask for a new one")
        case .expired: throw GatewayError(.denied, "this join token has expired; ask for a new one")
        case .nameTaken(let name):
            throw GatewayError(.invalid, "the fleet already has a node '\(name)'; join with another --name NAME")
        }
    }

    func makeToken(_ request: Lighter_V1_TokenRequest, scope: TenantID?) async throws -> Lighter_V1_TokenReply {
        guard !request.operator else {
            throw GatewayError(
                .invalid, "tokens for operators are not given out yet; copy the gateway's operator directory instead")
        }
        let tenant: TenantID
        do { tenant = try request.tenant.isEmpty ? scope ?? .main : TenantID(request.tenant) } catch {
            throw GatewayError(.invalid, "\(error)")
        }
        guard scope == nil || scope == tenant else {
            throw GatewayError(.denied, "an operator makes tokens for its own tenant only")
        }
        let token = try await JoinTokens.make(
            for: tenant, seconds: request.ttlSeconds, authority: authority, ledger: ledger)
        var reply = Lighter_V1_TokenReply()
        reply.token = token.text
        reply.expiresAt = token.expiresAt
        return reply
    }
}
