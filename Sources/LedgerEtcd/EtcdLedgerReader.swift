package import Etcd
package import Fleet
import Foundation
package import Ledger

/// A ledger in etcd as a gateway reads it that does not lead: anew for each question, as etcd has it at that moment.
package struct EtcdLedgerReader: LedgerReader {
    private let client: EtcdClient

    package init(_ client: EtcdClient) { self.client = client }

    /// Without decisions.
    package func workloads(includingEnded: Bool) async throws(LedgerError) -> [Workload] {
        try await checkSchema()
        var found: [Workload] = []
        try await client.pages(of: .workload, keysOnly: false) { (_, pair) throws(LedgerError) in
            guard case .workload(let kept) = try EtcdLedger.record(.workload, pair.value) else { return }
            if includingEnded || kept.workload.state.holdsCapacity { found.append(kept.workload) }
        }
        return LedgerRules.newestFirst(found)
    }

    package func find(_ reference: String) async throws(LedgerError) -> [Workload] {
        var found = LedgerRules.meant(by: reference, among: try await workloads(includingEnded: true))
        for index in found.indices {
            let key = client.keys[.init(.decision, found[index].id.hex)]
            if let value = try await value(of: key) { found[index].decision = try EtcdLedger.decision(value) }
        }
        return found
    }

    private func checkSchema() async throws(LedgerError) {
        if let kept = try await value(of: client.keys.schema) { try KeySpace.check(schema: kept, of: client) }
    }

    private func value(of key: Data) async throws(LedgerError) -> Data? {
        var request = EtcdRangeRequest()
        request.key = key
        do { return try await client.range(request).kvs.first?.value } catch { throw LedgerError(error) }
    }
}
