package import Fleet
import SwiftProtobuf

extension Lighter_V1_DecisionMessage {
    package init(_ decision: Decision) {
        self.init()
        workload = decision.workload.hex
        policy = decision.policy.rawValue
        target = decision.target?.name ?? ""
        reason = decision.reason
        warnings = decision.warnings
        candidates = decision.candidates.map(Lighter_V1_CandidateMessage.init)
        snapshotRevision = decision.snapshotRevision
        decidedAt = decision.decidedAt
    }

    /// - Throws: `WireError.unknownWord` for a policy of a newer version, `.invalid` naming the field.
    package func domain() throws(WireError) -> Decision {
        var shown: [Decision.Candidate] = []
        shown.reserveCapacity(candidates.count)
        for candidate in candidates { shown.append(try candidate.domain()) }
        return Decision(
            workload: try WireField.workload(workload, "decision.workload"),
            policy: try WireField.policyKind(policy, "decision.policy"),
            target: target.isEmpty ? nil : try WireField.node(target, "decision.target"),
            reason: reason, warnings: warnings, candidates: shown, snapshotRevision: snapshotRevision,
            decidedAt: try WireField.amount(decidedAt, "decision.decided_at"))
    }
}

extension Lighter_V1_CandidateMessage {
    package init(_ candidate: Decision.Candidate) {
        self.init()
        node = candidate.node.name
        if let score = candidate.score { self.score = score }
        refusals = candidate.refusals
        terms = candidate.terms.map { term in
            Lighter_V1_TermMessage.with {
                $0.name = term.name
                $0.value = term.value
                $0.unit = term.unit
            }
        }
    }

    /// - Throws: `WireError.invalid` naming the field.
    package func domain() throws(WireError) -> Decision.Candidate {
        Decision.Candidate(
            node: try WireField.node(node, "candidate.node"),
            score: hasScore ? score : nil,
            refusals: refusals,
            terms: terms.map { Decision.Term($0.name, $0.value, $0.unit) })
    }
}
