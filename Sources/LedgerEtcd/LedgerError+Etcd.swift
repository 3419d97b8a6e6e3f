import Etcd
import Ledger

extension LedgerError {
    /// What a failed call to etcd means for the ledger.
    init(_ error: EtcdError) {
        let code: Code =
            switch error.code {
            case .unreachable, .unanswered, .noQuorum: .unreachable
            case .denied: .denied
            case .full: .full
            case .leaseGone: .notLeader
            case .closed: .closed
            case .cancelled: .cancelled
            case .compacted, .invalid, .configuration, .failed: .storage
            }
        self.init(code, error.message, cause: error.cause)
    }

    static let closedLedger = LedgerError(.closed, "the ledger was closed; the gateway is stopping")
    static let noLongerLeader = LedgerError(
        .notLeader, "this gateway does not lead the fleet any more; ask the gateway that does")
}
