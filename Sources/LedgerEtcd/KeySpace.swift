import Etcd
import Foundation
import Ledger

/// The keys below the ledger's prefix: `leader`, `schema`, and `KIND/NAME` for each record.
struct KeySpace: Sendable {
    /// The form of keys and values; a ledger with a higher one is a later release's.
    static let schema = 1

    let prefix: String

    var leader: Data { Data("\(prefix)/leader".utf8) }
    var schema: Data { Data("\(prefix)/schema".utf8) }

    subscript(key: LedgerRecord.Key) -> Data { Data("\(prefix)/\(key.kind.rawValue)/\(key.name)".utf8) }

    /// - Throws: `newerSchema` where a later release has written the ledger.
    static func check(schema value: Data, of client: EtcdClient) throws(LedgerError) {
        guard let schema = Int(String(decoding: value, as: UTF8.self)), schema <= Self.schema else {
            throw LedgerError(
                .newerSchema,
                "the ledger at \(client.configuration.location) was written by a newer release; upgrade this gateway")
        }
    }

    /// From the first key of the kind up to the first that is none.
    func range(of kind: LedgerRecord.Kind) -> (start: Data, end: Data) {
        // '0' is the character after '/'.
        (Data("\(prefix)/\(kind.rawValue)/".utf8), Data("\(prefix)/\(kind.rawValue)0".utf8))
    }

    /// The name in a key of this kind.
    func name(in key: Data, of kind: LedgerRecord.Kind) -> String {
        String(decoding: key.dropFirst(range(of: kind).start.count), as: UTF8.self)
    }
}
