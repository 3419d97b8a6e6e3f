import Fleet
import Ledger
import Trust
import Wire

/// What operators are shown of a ledger, also by a gateway that does not lead.
struct OperatorReads: Sendable {
    /// Rows in one list; more do not fit a message.
    private static let listLimit = 5000

    let ledger: any LedgerReader
    /// The tenant whose work is shown; nil for all.
    let scope: TenantID?

    /// One of the tenant `main` sees the whole fleet, others see their own tenant.
    static func scope(of identity: PeerIdentity) -> TenantID? { identity.tenant == .main ? nil : identity.tenant }

    func list(_ request: Lighter_V1_ListWorkloadsRequest) async throws -> Lighter_V1_ListWorkloadsReply {
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
        reply.omitted = UInt64(max(0, visible.count - Self.listLimit))
        return reply
    }

    func explain(_ request: Lighter_V1_ExplainRequest) async throws -> Lighter_V1_ExplainReply {
        var reply = Lighter_V1_ExplainReply()
        reply.workload = Lighter_V1_WorkloadMessage(try await find(request.reference))
        return reply
    }

    private func find(_ reference: String) async throws -> Workload {
        let found = try await ledger.find(reference).filter { scope == nil || $0.tenant == scope }
        guard let first = found.first else { throw GatewayError(.notFound, "no workload '\(reference.prefix(128))'") }
        // A name may be used again when its container has gone: the one that is there is meant, else the last that was.
        let live = found.filter { !$0.state.isOver }
        if live.count == 1 { return live[0] }
        let named = found.filter { $0.name == reference }
        if live.isEmpty, let last = named.max(by: { $0.createdAt < $1.createdAt }) { return last }
        guard found.count == 1 else {
            throw GatewayError(
                .invalid, "'\(reference.prefix(128))' matches \(found.count) workloads; give more of its id")
        }
        return first
    }
}
