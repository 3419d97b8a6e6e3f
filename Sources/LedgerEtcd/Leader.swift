import Foundation
import Ledger

/// What the gateway that leads says of itself to the others.
package struct Leader: Sendable, Hashable, Codable {
    /// `HOST:PORT` that nodes and operators dial.
    package var address: String
    /// The digest of its authority's certificate: gateways of one fleet have the same.
    package var authority: String

    package init(address: String, authority: String) {
        self.address = address
        self.authority = authority
    }

    init(from data: Data) throws(LedgerError) {
        do { self = try LedgerJSON.decode(Leader.self, from: data) } catch {
            throw LedgerError(
                .corrupt, "the leader's key in etcd is no leader's; give Lighter a prefix of its own there",
                cause: error)
        }
    }
}
