package import Fleet

/// The fleet's memory: what was placed where, what became of it, who belongs to the fleet, what was learnt.
///
/// Promises of every implementation:
/// - A write returns only after it is durable; what was acknowledged survives the process being killed.
/// - A write happens wholly or not at all. One that throws changed nothing and can be tried again.
/// - Every method may be called from any task, by many at once; a reader sees each write that returned before it began.
/// - Errors say what to do (`LedgerError`); after a passing failure (full disk) the same ledger works again.
package protocol Ledger: LedgerReader {
    // MARK: Workloads

    /// Merges what a node says of its workloads, each only where its version is newer than the one kept.
    ///
    /// Idempotent and order-free. A workload not known yet is taken in when the node is its origin or its target; one
    /// that is known is changed only by its kept origin or target, or by the target of a later epoch (which a ledger
    /// that was restored from a backup has lost), and keeps its origin and tenant. Anything else is left aside. That a
    /// node reports only its own tenant's workloads is for the caller to see to.
    ///
    /// - Returns: the workloads that changed, as they are now, but **without the decision** unless the update had one:
    ///   it does not change with reports, and reading it each time would cost more than the report.
    func apply(_ updates: [WorkloadUpdate], from node: NodeID) async throws(LedgerError) -> [Workload]

    /// As `apply(_:from:)` for several nodes' reports at once, which may share one commit; each has an outcome of its own.
    ///
    /// - Returns: in the order of the reports.
    func apply(_ reports: [ReportedUpdates]) async -> [Result<[Workload], LedgerError>]

    /// Commits a lease: `lease` is kept as `pending` in an epoch one above the last of the same id (1 when new), in one
    /// transaction. Only `prune` forgets epochs, seven days after the workload is gone.
    ///
    /// - Returns: what was kept, with its version.
    /// - Throws: `conflict` when the id belongs to another tenant or origin.
    func place(_ lease: Workload) async throws(LedgerError) -> Workload

    /// With its decision; nil when unknown.
    func workload(_ id: WorkloadID) async throws(LedgerError) -> Workload?

    /// Gives back a lease that never became a container: a workload pending in exactly this epoch becomes `removed`.
    ///
    /// The version stays, so a later report that a container does exist wins.
    /// - Returns: the workload if it changed; nil when it is unknown, newer or no longer pending.
    @discardableResult
    func abandon(_ id: WorkloadID, epoch: UInt64, reason: String) async throws(LedgerError) -> Workload?

    // MARK: Nodes

    /// Keeps the node as it is now, over what was kept under its id.
    func upsertNode(_ node: Node) async throws(LedgerError)

    /// All that ever were upserted and not removed, by name.
    func nodes() async throws(LedgerError) -> [Node]

    /// Forgets a node, so that its name is free to join again.
    func removeNode(_ id: NodeID) async throws(LedgerError)

    // MARK: Joining

    func addToken(_ token: StoredToken) async throws(LedgerError)

    /// Uses a token up, if it may be used, and reserves the node's name: both or neither, in one transaction.
    ///
    /// - Parameters:
    ///   - node: the name that the node will have; nil for an operator, who takes none.
    ///   - isRejoining: whether the name may be one taken already within the same tenant: true when the gateway knows
    ///     that the node of that name is not connected.
    ///   - now: seconds since 1970.
    func redeemToken(
        id: String, secretHash: [UInt8], node: NodeID?, isRejoining: Bool, now: Double
    ) async throws(LedgerError) -> TokenOutcome

    // MARK: What was learnt

    /// Notes what one run of a kind of work took, in seconds of a reference core.
    func learn(_ workKey: String, coreSeconds: Double) async throws(LedgerError)

    /// What runs of this kind of work take; nil when none was seen.
    func estimate(_ workKey: String) async throws(LedgerError) -> WorkEstimate?

    // MARK: Settings

    func setting(_ key: String) async throws(LedgerError) -> String?

    /// Nil forgets the setting.
    func setSetting(_ key: String, _ value: String?) async throws(LedgerError)

    // MARK: Life

    /// Forgets workloads that were removed long ago or are too many; implementations also do so by themselves.
    func prune() async throws(LedgerError)

    /// Waits for writes under way, then lets go of the storage; every later call throws `closed`.
    func close() async
}

/// What one node says in one report.
package struct ReportedUpdates: Sendable {
    package var updates: [WorkloadUpdate]
    package var node: NodeID

    package init(_ updates: [WorkloadUpdate], from node: NodeID) {
        self.updates = updates
        self.node = node
    }
}

extension Ledger {
    /// Each by itself, all at once: for a ledger that puts together what comes together.
    package func apply(_ reports: [ReportedUpdates]) async -> [Result<[Workload], LedgerError>] {
        await withTaskGroup(of: (Int, Result<[Workload], LedgerError>).self) { group in
            for (index, report) in reports.enumerated() {
                group.addTask { (index, await self.outcome(of: report)) }
            }
            var results: [Result<[Workload], LedgerError>] = Array(repeating: .success([]), count: reports.count)
            for await (index, result) in group { results[index] = result }
            return results
        }
    }

    // Apart: Swift 6.3 with optimisation gives back another index where the closure above catches the error itself.
    private func outcome(of report: ReportedUpdates) async -> Result<[Workload], LedgerError> {
        do { return .success(try await apply(report.updates, from: report.node)) } catch { return .failure(error) }
    }
}
