import GRDB

extension LedgerError {
    /// What an error of the database at `path` means, and what to do.
    static func describing(_ error: any Error, path: String) -> LedgerError {
        if let error = error as? LedgerError { return error }
        if error is CancellationError { return LedgerError(.cancelled, "the request was cancelled", cause: error) }
        guard let error = error as? DatabaseError else {
            return LedgerError(
                .corrupt, "the ledger \(path) holds something that this release cannot read; restore it from a backup",
                cause: error)
        }
        switch error.resultCode {
        case .SQLITE_FULL:
            return LedgerError(
                .full, "no space is left for the ledger \(path); free some: nothing that was acknowledged is lost",
                cause: error)
        case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH:
            return LedgerError(
                .readOnly,
                "the ledger \(path) cannot be written; give the gateway's user write access to its directory",
                cause: error)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return LedgerError(
                .corrupt,
                "the ledger \(path) is damaged or not a ledger; restore it from a backup, "
                    + "or move it away: nodes report what they run to a new one",
                cause: error)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return LedgerError(.busy, "another program keeps the ledger \(path) busy; close it", cause: error)
        case .SQLITE_MISUSE, .SQLITE_ABORT:
            return LedgerError(.closed, "the ledger was closed; the gateway is stopping", cause: error)
        default:
            return LedgerError(
                .storage, "the ledger \(path) cannot be used; check the disk and the system's log", cause: error)
        }
    }
}
