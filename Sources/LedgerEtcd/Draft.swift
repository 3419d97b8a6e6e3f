import Foundation
import Ledger

/// What one transaction has read and will write, over what the ledger holds.
struct Draft {
    enum Write {
        case put(LedgerRecord, Data)
        case delete
    }

    private let mirror: Mirror
    /// The revisions of all that was read or is written; 0 for what was not there.
    private(set) var seen: [LedgerRecord.Key: Int64] = [:]
    private(set) var writes: [LedgerRecord.Key: Write] = [:]
    /// Of all that is put.
    private(set) var bytes = 0

    init(_ mirror: Mirror) { self.mirror = mirror }

    /// As this draft leaves it. Decisions cannot be read.
    mutating func read(_ kind: LedgerRecord.Kind, _ name: String) -> LedgerRecord? {
        let key = LedgerRecord.Key(kind, name)
        let entry = look(key)
        switch writes[key] {
        case .put(let record, _): return record
        case .delete: return nil
        case nil: return entry?.record
        }
    }

    mutating func put(_ record: LedgerRecord) throws {
        let data = try record.encoded()
        _ = look(record.key)
        bytes += data.count
        writes[record.key] = .put(record, data)
    }

    mutating func delete(_ kind: LedgerRecord.Kind, _ name: String) {
        let key = LedgerRecord.Key(kind, name)
        guard look(key) != nil || writes[key] != nil else { return }
        writes[key] = .delete
    }

    private mutating func look(_ key: LedgerRecord.Key) -> Mirror.Entry? {
        let entry = mirror[key]
        seen[key] = entry?.revision ?? 0
        return entry
    }
}
