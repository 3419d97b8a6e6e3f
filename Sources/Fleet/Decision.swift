/// A placement, with everything that went into it: what `lighter explain` shows.
package struct Decision: Sendable, Hashable, Codable {
    /// One node that was looked at.
    package struct Candidate: Sendable, Hashable, Codable {
        package var node: NodeID
        /// Smaller is better; nil where the node was refused. For `completion`, predicted seconds.
        package var score: Double?
        /// Why the node cannot have the workload; empty where it can.
        package var refusals: [String]
        /// Every number that went into the score, in the order in which a person wants to read them.
        package var terms: [Term]

        package init(node: NodeID, score: Double? = nil, refusals: [String] = [], terms: [Term] = []) {
            self.node = node
            self.score = score
            self.refusals = refusals
            self.terms = terms
        }
    }

    package struct Term: Sendable, Hashable, Codable {
        package var name: String
        package var value: Double
        /// `s`, `bytes`, `bytes/s`, `cores`, `fraction` or empty.
        package var unit: String

        package init(_ name: String, _ value: Double, _ unit: String) {
            self.name = name
            self.value = value
            self.unit = unit
        }
    }

    package var workload: WorkloadID
    package var policy: Policy.Kind
    /// The chosen node; nil when every candidate was refused.
    package var target: NodeID?
    /// One sentence: why there.
    package var reason: String
    /// What the user should be told in the create's `Warnings`, if anything.
    package var warnings: [String]
    package var candidates: [Candidate]
    /// The revision of the snapshot that was used.
    package var snapshotRevision: UInt64
    /// Seconds since 1970 at the decision.
    package var decidedAt: Double

    package init(
        workload: WorkloadID, policy: Policy.Kind, target: NodeID?, reason: String, warnings: [String] = [],
        candidates: [Candidate] = [], snapshotRevision: UInt64 = 0, decidedAt: Double = 0
    ) {
        self.workload = workload
        self.policy = policy
        self.target = target
        self.reason = reason
        self.warnings = warnings
        self.candidates = candidates
        self.snapshotRevision = snapshotRevision
        self.decidedAt = decidedAt
    }
}
