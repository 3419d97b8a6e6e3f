import Fleet
import FoundationEssentials
import Ledger
import Session
import Trust
import Wire

extension Gateway {
    /// Rows in one list; more do not fit a message.
    private static let listLimit = 5000

    /// Answers an operator. One of the tenant `main` sees the whole fleet, others see their own tenant.
    func serveOperator(_ peer: ControlPeer, _ identity: PeerIdentity) async {
        let scope: TenantID? = identity.tenant == .main ? nil : identity.tenant
        await withDiscardingTaskGroup { group in
            for await envelope in peer.envelopes {
                answer(envelope, of: peer, in: &group) { try await self.answer(envelope.body, scope: scope) }
            }
            group.cancelAll()
        }
    }

    private func answer(_ body: Lighter_V1_Envelope.OneOf_Body?, scope: TenantID?) async throws -> Reply {
        switch body {
        case .listNodesRequest:
            var reply = Lighter_V1_ListNodesReply()
            reply.nodes = registry.snapshot(of: scope).nodes.map(Lighter_V1_NodeMessage.init)
            return .listNodesReply(reply)
        case .listWorkloadsRequest(let request):
            let known = try await ledger.workloads(includingEnded: request.all)
            // Of what was removed only `explain` tells.
            let visible = known.filter { !$0.state.isOver && (scope == nil || $0.tenant == scope) }
                .sorted { $0.createdAt > $1.createdAt }
            var reply = Lighter_V1_ListWorkloadsReply()
            reply.workloads = visible.prefix(Self.listLimit).map { workload in
                var row = workload
                // A list shows no reasons; `explain` does.
                row.decision = nil
                return Lighter_V1_WorkloadMessage(row)
            }
            return .listWorkloadsReply(reply)
        case .explainRequest(let request):
            var reply = Lighter_V1_ExplainReply()
            reply.workload = Lighter_V1_WorkloadMessage(try await find(request.reference, scope: scope))
            return .explainReply(reply)
        case .drainRequest(let request): return try await drain(request, scope: scope)
        case .tokenRequest(let request): return .tokenReply(try await makeToken(request, scope: scope))
        default: throw GatewayError(.invalid, "this gateway does not answer that; is it older than its client?")
        }
    }
}
