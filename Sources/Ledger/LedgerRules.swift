package import Fleet

/// What a ledger decides, whatever it stores in: pure, so that every implementation decides the same.
package enum LedgerRules {
    /// Tokens are forgotten this long after they have expired, in seconds.
    package static let keepTokensFor: Double = 30 * 86_400

    // MARK: Workloads

    /// What is kept after `node` said `update`, or nil when that changes nothing.
    package static func merge(_ update: WorkloadUpdate, into known: Workload?, from node: NodeID) -> Workload? {
        guard let known else {
            let new = update.workload
            return node == new.origin || node == new.target ? new : nil
        }
        guard let new = known.applying(update) else { return nil }
        // A placement that the ledger does not know is one that it lost, as when it was restored from a backup.
        let wasLost =
            node == new.target && new.version.epoch > known.version.epoch && update.workload.origin == known.origin
            && update.workload.tenant == known.tenant
        return node == known.origin || node == known.target || wasLost ? new : nil
    }

    /// The lease as it is kept, in the epoch after that of `known`; a failure when the id is another's.
    package static func placing(
        _ lease: Workload, over known: Workload?, now: Double
    ) -> Result<Workload, LedgerError> {
        if let known, known.tenant != lease.tenant || known.origin != lease.origin {
            return .failure(
                LedgerError(
                    .conflict, "workload \(lease.id) belongs to another origin; create it anew with its own id"))
        }
        var placed = lease
        placed.state = .pending
        placed.version = Version(epoch: (known?.version.epoch ?? 0) + 1, sequence: 0)
        if placed.createdAt == 0 { placed.createdAt = known?.createdAt ?? now }
        return .success(placed)
    }

    /// The workload given back, or nil when it is not pending in this epoch.
    package static func abandoning(_ known: Workload?, epoch: UInt64, reason: String, now: Double) -> Workload? {
        guard var workload = known, workload.version.epoch == epoch, workload.state == .pending else { return nil }
        workload.state = .removed
        workload.error = reason
        workload.finishedAt = now
        return workload
    }

    /// As every list is ordered.
    package static func newestFirst(_ workloads: [Workload]) -> [Workload] {
        workloads.sorted { ($1.createdAt, $0.id.hex) < ($0.createdAt, $1.id.hex) }
    }

    /// Those of `all` that a reference means; see `LedgerReader.find`.
    package static func meant(by reference: String, among all: [Workload]) -> [Workload] {
        guard !reference.isEmpty else { return [] }
        let exact = all.filter { $0.id.hex == reference || $0.containerID == reference }
        if !exact.isEmpty { return exact }
        let named = all.filter { $0.name == reference }
        if !named.isEmpty { return named }
        guard mayBeginAnID(reference) else { return [] }
        return all.filter { $0.id.hex.hasPrefix(reference) || $0.containerID.hasPrefix(reference) }
    }

    /// Whether ids and container ids can begin so.
    package static func mayBeginAnID(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// A number that is none is kept as zero.
    package static func known(_ number: Double) -> Double { number.isNaN ? 0 : number }

    // MARK: Tokens

    /// Why a token is not redeemed; nil when nothing but the node's name can stand in the way.
    package static func refusal(
        of token: StoredToken, usedAt: Double?, usedBy: String?, secretHash: [UInt8], now: Double
    ) -> TokenOutcome? {
        // The secret's state is told only to those who know it.
        guard isSame(token.secretHash, secretHash) else { return .wrongSecret }
        if let usedAt { return .used(by: usedBy ?? "", at: usedAt) }
        return now < token.expiresAt ? nil : .expired(at: token.expiresAt)
    }

    /// Whether a token's holder gets a name that belongs to `owners`.
    package static func mayTake(owners: Set<TenantID>, tenant: TenantID, isRejoining: Bool) -> Bool {
        owners.isEmpty || isRejoining && owners == [tenant]
    }

    /// Compares in a time that does not depend on where the two differ.
    private static func isSame(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.count == b.count && zip(a, b).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
