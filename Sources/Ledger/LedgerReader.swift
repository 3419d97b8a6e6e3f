package import Fleet

/// What anybody may read of a ledger, also a gateway that does not lead.
package protocol LedgerReader: Sendable {
    /// Newest first; without `includingEnded` only those that hold capacity. A `Ledger` has their decisions with them, others may not.
    func workloads(includingEnded: Bool) async throws(LedgerError) -> [Workload]

    /// Those that `reference` means, with their decisions, newest first: by id or container id; if none, by name; if none, by the
    /// beginning of an id or container id. More than one means that a beginning or name is ambiguous.
    func find(_ reference: String) async throws(LedgerError) -> [Workload]
}
