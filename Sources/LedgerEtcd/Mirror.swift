import Ledger
import Synchronization

/// What etcd holds of the ledger, as of the last write that was answered; decisions only by name, for they are large.
///
/// Complete and right as long as this gateway leads: nobody else writes then.
final class Mirror: Sendable {
    struct Entry: Sendable {
        /// Nil for a decision.
        var record: LedgerRecord?
        /// That of its last change.
        var revision: Int64
    }

    private struct State {
        var entries: [LedgerRecord.Kind: [String: Entry]] = [:]
        var revision: Int64 = 0
    }

    private let state = Mutex(State())

    subscript(key: LedgerRecord.Key) -> Entry? { state.withLock { $0.entries[key.kind]?[key.name] } }

    /// Of the last write; what was compacted up to here is not missed.
    var revision: Int64 { state.withLock { $0.revision } }

    func all(_ kind: LedgerRecord.Kind) -> [LedgerRecord] {
        state.withLock { $0.entries[kind]?.values.compactMap(\.record) ?? [] }
    }

    /// Those of the kind that there are, and the revision as of which.
    func names(_ kind: LedgerRecord.Kind) -> Set<String> { state.withLock { Set($0.entries[kind, default: [:]].keys) } }

    /// - Parameter revision: that of etcd by which all `changes` are known.
    func take(_ changes: some Sequence<(LedgerRecord.Key, Entry?)>, at revision: Int64) {
        state.withLock { state in
            for (key, entry) in changes { state.entries[key.kind, default: [:]][key.name] = entry }
            state.revision = max(state.revision, revision)
        }
    }
}
