package import Etcd
import Foundation
package import Ledger

/// Who of the gateways on one etcd leads: the one whose key is there.
package struct EtcdElection: Sendable {
    private let client: EtcdClient
    private let keys: KeySpace
    /// How long a gateway that died still counts as the leader; etcd rounds up to whole seconds and its own least.
    private let life: Duration

    package init(client: EtcdClient, life: Duration = .seconds(2)) {
        self.client = client
        self.life = life
        keys = client.keys
    }

    /// What the leader said of itself; nil when none leads.
    package func leader() async throws(LedgerError) -> Leader? {
        var request = EtcdRangeRequest()
        request.key = keys.leader
        let key: EtcdKeyValue?
        do { key = try await client.range(request).kvs.first } catch { throw LedgerError(error) }
        guard let key else { return nil }
        return try Leader(from: key.value)
    }

    /// Takes the lead unless another has it.
    ///
    /// - Parameter candidate: what the others tell those who ask for the leader.
    /// - Returns: nil when another leads.
    package func campaign(as candidate: Leader) async throws(LedgerError) -> Leadership? {
        guard try await leader() == nil else { return nil }
        let value: Data
        do { value = try LedgerJSON.encode(candidate) } catch {
            throw LedgerError(.storage, "the leader's key cannot be put into bytes", cause: error)
        }
        do throws(EtcdError) {
            var grant = EtcdLeaseGrantRequest()
            grant.ttl = max(1, Int64((life / .seconds(1)).rounded(.up)))
            let asked = ContinuousClock.now
            let granted = try await client.grant(grant)
            guard let revision = try await take(value, lease: granted.id) else {
                var revoke = EtcdLeaseRevokeRequest()
                revoke.id = granted.id
                _ = try? await client.revoke(revoke)
                return nil
            }
            return Leadership(lease: granted.id, revision: revision, life: .seconds(granted.ttl), asked: asked)
        } catch {
            throw LedgerError(error)
        }
    }

    /// Puts the leader's key if none is there, and returns its revision. A transaction whose answer was lost is asked
    /// again: whether the key is ours can be seen by its lease.
    private func take(_ value: Data, lease: Int64) async throws(EtcdError) -> Int64? {
        var request = EtcdTxnRequest()
        var isVacant = EtcdCompare()
        isVacant.target = .create
        isVacant.key = keys.leader
        isVacant.createRevision = 0
        request.compare = [isVacant]
        var put = EtcdRequestOp()
        put.requestPut.key = keys.leader
        put.requestPut.value = value
        put.requestPut.lease = lease
        request.success = [put]
        var look = EtcdRequestOp()
        look.requestRange.key = keys.leader
        request.failure = [look]
        for isLast in [false, true] {
            do {
                let answer = try await client.transact(request)
                if answer.succeeded { return answer.header.revision }
                guard let key = answer.responses.first?.responseRange.kvs.first, key.lease == lease else { return nil }
                return key.createRevision
            } catch {
                guard error.mayHaveHappened, !isLast else { throw error }
            }
        }
        return nil
    }
}
