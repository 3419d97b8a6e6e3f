/// A ledger that can be carried over to one that stores in something else.
package protocol LedgerArchive: Ledger {
    /// Everything that is kept, workloads before their decisions.
    func records() async throws(LedgerError) -> [LedgerRecord]

    /// Takes in what another ledger kept.
    ///
    /// - Throws: `conflict` unless this ledger is empty.
    func restore(_ records: [LedgerRecord]) async throws(LedgerError)
}

extension LedgerError {
    package static let notEmpty = LedgerError(
        .conflict, "the ledger holds something already; import into a new one, so that nothing is mixed")
}
