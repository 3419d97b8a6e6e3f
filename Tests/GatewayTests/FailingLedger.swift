import Fleet
import Ledger
import Synchronization
import Wire

/// A ledger whose writes fail, as on a full disk, while it is told to.
final class FailingLedger: Ledger {
    private let base: SQLiteLedger
    private let state = Mutex((fails: false, refused: 0))
    private let delay = Mutex(Duration.zero)

    init(path: String) throws { base = try SQLiteLedger(path: path) }

    var fails: Bool {
        get { state.withLock { $0.fails } }
        set { state.withLock { $0.fails = newValue } }
    }
    /// How long a lease takes to be recorded.
    var placingDelay: Duration {
        get { delay.withLock(\.self) }
        set { delay.withLock { $0 = newValue } }
    }
    /// Writes that were refused.
    var refused: Int { state.withLock { $0.refused } }

    private func check() throws(LedgerError) {
        let fails = state.withLock { state in
            if state.fails { state.refused += 1 }
            return state.fails
        }
        if fails { throw LedgerError(.full, "no space is left") }
    }

    func apply(_ updates: [WorkloadUpdate], from node: NodeID) async throws(LedgerError) -> [Workload] {
        try check()
        return try await base.apply(updates, from: node)
    }
    func place(_ lease: Workload) async throws(LedgerError) -> Workload {
        try check()
        try? await Task.sleep(for: placingDelay)
        return try await base.place(lease)
    }
    func workload(_ id: WorkloadID) async throws(LedgerError) -> Workload? { try await base.workload(id) }
    func workloads(includingEnded: Bool) async throws(LedgerError) -> [Workload] {
        try await base.workloads(includingEnded: includingEnded)
    }
    func find(_ reference: String) async throws(LedgerError) -> [Workload] { try await base.find(reference) }
    func abandon(_ id: WorkloadID, epoch: UInt64, reason: String) async throws(LedgerError) -> Workload? {
        try check()
        return try await base.abandon(id, epoch: epoch, reason: reason)
    }
    func upsertNode(_ node: Node) async throws(LedgerError) {
        try check()
        try await base.upsertNode(node)
    }
    func nodes() async throws(LedgerError) -> [Node] { try await base.nodes() }
    func removeNode(_ id: NodeID) async throws(LedgerError) { try await base.removeNode(id) }
    func addToken(_ token: StoredToken) async throws(LedgerError) { try await base.addToken(token) }
    func redeemToken(
        id: String, secretHash: [UInt8], node: NodeID?, isRejoining: Bool, now: Double
    ) async throws(LedgerError) -> TokenOutcome {
        try await base.redeemToken(id: id, secretHash: secretHash, node: node, isRejoining: isRejoining, now: now)
    }
    func learn(_ workKey: String, coreSeconds: Double) async throws(LedgerError) {
        try await base.learn(workKey, coreSeconds: coreSeconds)
    }
    func estimate(_ workKey: String) async throws(LedgerError) -> WorkEstimate? { try await base.estimate(workKey) }
    func setting(_ key: String) async throws(LedgerError) -> String? { try await base.setting(key) }
    func setSetting(_ key: String, _ value: String?) async throws(LedgerError) { try await base.setSetting(key, value) }
    func prune() async throws(LedgerError) { try await base.prune() }
    func close() async { await base.close() }
}

extension Lighter_V1_Heartbeat {
    static func with(checksum: UInt64, workloads: UInt64) -> Lighter_V1_Heartbeat {
        var heartbeat = Lighter_V1_Heartbeat()
        heartbeat.checksum = checksum
        heartbeat.workloads = workloads
        heartbeat.sentAt = 1
        return heartbeat
    }
}
