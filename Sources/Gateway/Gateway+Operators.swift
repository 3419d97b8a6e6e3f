import Fleet
import FoundationEssentials
import Ledger
import Session
import Trust
import Wire

extension Gateway {
    /// Answers an operator.
    func serveOperator(_ peer: ControlPeer, _ identity: PeerIdentity) async {
        let scope = OperatorReads.scope(of: identity)
        await withDiscardingTaskGroup { group in
            for await envelope in peer.envelopes {
                answer(envelope, of: peer, in: &group) { try await self.answer(envelope.body, scope: scope) }
            }
            group.cancelAll()
        }
    }

    private func answer(_ body: Lighter_V1_Envelope.OneOf_Body?, scope: TenantID?) async throws -> Reply {
        let reads = OperatorReads(ledger: ledger, scope: scope)
        switch body {
        case .listNodesRequest:
            var reply = Lighter_V1_ListNodesReply()
            reply.nodes = registry.snapshot(of: scope).nodes.map(Lighter_V1_NodeMessage.init)
            return .listNodesReply(reply)
        case .listWorkloadsRequest(let request): return .listWorkloadsReply(try await reads.list(request))
        case .explainRequest(let request): return .explainReply(try await reads.explain(request))
        case .drainRequest(let request): return try await drain(request, scope: scope)
        case .tokenRequest(let request): return .tokenReply(try await makeToken(request, scope: scope))
        default: throw GatewayError(.invalid, "this gateway does not answer that; is it older than its client?")
        }
    }
}
