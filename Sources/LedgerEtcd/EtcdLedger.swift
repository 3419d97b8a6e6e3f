package import Etcd
import Fleet
import Foundation
import Ledger
import NIOCore
import Synchronization

/// The ledger of several gateways, kept in etcd: the one that leads writes it, the others wait to.
///
/// Every transaction is conditional on the leader's key and on the revisions of all that it read. A mirror in memory
/// answers what it can, as long as the lease says that nobody else can have written.
///
/// Two things differ from a ledger in one file. A report of more workloads than one transaction takes is several: one
/// that throws may have been applied in part, and reporting again completes it. And a write whose answer was lost is
/// asked after until etcd answers; only when it does not, `unreachable` is thrown, and the write may have been done.
package final class EtcdLedger: Ledger {
    package struct Configuration: Sendable {
        /// Removed workloads are kept this long, in seconds.
        package var keepRemovedFor: Double = 7 * 86_400
        /// And at most this many of them, the newest.
        package var keepRemoved = 10_000
        /// How many kinds of work are remembered, the latest seen.
        package var keepDurations = 10_000
        /// etcd keeps former values this long; without compaction it would fill up.
        package var keepHistory = Duration.seconds(300)
        /// Seconds since 1970.
        package var clock: @Sendable () -> Double = { Date().timeIntervalSince1970 }

        package init() {}
    }

    let client: EtcdClient
    let keys: KeySpace
    let leadership: Leadership
    let configuration: Configuration
    let mirror = Mirror()
    let queue = WriteQueue()
    /// Workloads that became `removed` since the last pruning.
    let removedSincePruning = Atomic<Int>(0)
    private let (ended, end) = AsyncStream.makeStream(of: Never.self)

    private init(client: EtcdClient, leadership: Leadership, configuration: Configuration) {
        self.client = client
        self.leadership = leadership
        self.configuration = configuration
        keys = client.keys
    }

    /// Reads the ledger and keeps the lead while `body` uses it, then gives both up. When the lead is lost, by a cut or
    /// a long pause, every call throws `notLeader` and `body` is cancelled.
    ///
    /// - Throws: what `body` does; `newerSchema`, `corrupt` or `unreachable` when the ledger cannot be read.
    package static func lead<Value: Sendable>(
        with leadership: Leadership, on client: EtcdClient, configuration: Configuration = Configuration(),
        _ body: @escaping @Sendable (EtcdLedger) async throws -> Value
    ) async throws -> Value {
        let ledger = EtcdLedger(client: client, leadership: leadership, configuration: configuration)
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask {
                await ledger.run()
                return nil
            }
            group.addTask {
                do {
                    try await ledger.load()
                    let value = try await body(ledger)
                    await ledger.close()
                    return value
                } catch {
                    await ledger.close()
                    throw error
                }
            }
            while let ended = try await group.next() {
                if let value = ended { return value }
                if ledger.queue.refusal?.code != .closed { group.cancelAll() }
            }
            throw LedgerError.closedLedger
        }
    }

    /// Waits for writes under way and gives up the lead, so that the next gateway need not wait for the lease's end.
    package func close() async {
        queue.close(.closedLedger)
        for await _ in ended {}
    }

    // MARK: - Keeping the lead

    private func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.queue.drain(keys: Self.keysAtOnce) { await self.commit($0) } }
            group.addTask { await self.leadership.untilLost() }
            group.addTask { await self.keepLease() }
            group.addTask { await self.compactHistory() }
            await group.next()
            queue.close(leadership.holds ? .closedLedger : .noLongerLeader)
            group.cancelAll()
        }
        queue.abandon()
        if leadership.holds {
            leadership.lose()
            var request = EtcdLeaseRevokeRequest()
            request.id = leadership.lease
            // Should it fail, the lease ends by itself.
            _ = try? await client.revoke(request)
        }
        end.finish()
    }

    /// Returns when the lease is gone or the task cancelled.
    private func keepLease() async {
        var request = EtcdLeaseKeepAliveRequest()
        request.id = leadership.lease
        while leadership.holds, !Task.isCancelled {
            let asked = ContinuousClock.now
            // Whatever fails is tried again until the lease has run out.
            if let answer = try? await client.keepAlive(request, within: leadership.life / 2) {
                guard answer.ttl > 0 else { return leadership.lose() }
                leadership.renewed(asked: asked)
            }
            try? await Task.sleep(until: asked + leadership.life / 5, clock: .continuous)
        }
    }

    /// Lets etcd forget values that have been replaced for a while.
    private func compactHistory() async {
        var old = mirror.revision
        while !Task.isCancelled {
            try? await Task.sleep(for: configuration.keepHistory)
            guard !Task.isCancelled else { return }
            if old > 0 {
                var request = EtcdCompactionRequest()
                request.revision = old
                // Fails where somebody else has done more already.
                _ = try? await client.compact(request)
            }
            old = mirror.revision
        }
    }

    // MARK: - Reading

    /// - Throws: `closed` or `notLeader` when what is in memory may be another's past.
    func check() throws(LedgerError) {
        if let refusal = queue.refusal { throw refusal }
        guard leadership.holds else { throw .noLongerLeader }
    }

    /// All of a kind that is not in memory wholly, or those named, with the answer's order left open.
    func decisions(of ids: [String]) async throws(LedgerError) -> [String: Decision] {
        let there = mirror.names(.decision)
        let wanted = ids.filter(there.contains)
        var found: [String: Decision] = [:]
        if wanted.count > Self.keysAtOnce {
            let set = Set(wanted)
            try await client.pages(of: .decision, keysOnly: false) { (name, pair) throws(LedgerError) in
                guard set.contains(name) else { return }
                found[name] = try Self.decision(pair.value)
            }
        } else if !wanted.isEmpty {
            var request = EtcdTxnRequest()
            request.success = wanted.map { name in
                var operation = EtcdRequestOp()
                operation.requestRange.key = keys[.init(.decision, name)]
                return operation
            }
            for answer in try await ask(request).responses {
                for pair in answer.responseRange.kvs {
                    found[keys.name(in: pair.key, of: .decision)] = try Self.decision(pair.value)
                }
            }
        }
        return found
    }

    static func decision(_ data: Data) throws(LedgerError) -> Decision {
        guard case .decision(let decision) = try record(.decision, data) else { throw corrupt(nil) }
        return decision
    }

    static func record(_ kind: LedgerRecord.Kind, _ data: Data) throws(LedgerError) -> LedgerRecord {
        do { return try LedgerRecord(kind, from: data) } catch { throw corrupt(error) }
    }

    private static func corrupt(_ cause: (any Error)?) -> LedgerError {
        LedgerError(
            .corrupt, "the ledger in etcd holds something that this release cannot read; restore it from a backup",
            cause: cause)
    }

    /// A transaction that only reads may be asked again.
    private func ask(_ request: EtcdTxnRequest) async throws(LedgerError) -> EtcdTxnResponse {
        while true {
            do throws(EtcdError) { return try await client.transact(request) } catch {
                guard error.isPassing else { throw LedgerError(error) }
                try check()
                do { try await Task.sleep(for: .milliseconds(Int.random(in: 20...60))) } catch {
                    throw LedgerError(.cancelled, "the request was cancelled")
                }
            }
        }
    }

    // MARK: - Loading

    private func load() async throws(LedgerError) {
        try await checkSchema()
        for kind in LedgerRecord.Kind.allCases {
            var loaded: [(LedgerRecord.Key, Mirror.Entry?)] = []
            let revision = try await client.pages(of: kind, keysOnly: kind == .decision) {
                (name, pair) throws(LedgerError) in
                let record = kind == .decision ? nil : try Self.record(kind, pair.value)
                loaded.append((.init(kind, name), Mirror.Entry(record: record, revision: pair.modRevision)))
            }
            mirror.take(loaded, at: revision)
        }
    }

    private func checkSchema() async throws(LedgerError) {
        do {
            var request = EtcdRangeRequest()
            request.key = keys.schema
            guard let kept = try await client.range(request).kvs.first else {
                var put = EtcdPutRequest()
                put.key = keys.schema
                put.value = Data(String(KeySpace.schema).utf8)
                _ = try await client.put(put)
                return
            }
            try KeySpace.check(schema: kept.value, of: client)
        } catch let error as LedgerError {
            throw error
        } catch let error as EtcdError {
            throw LedgerError(error)
        } catch {
            throw LedgerError(.storage, "the ledger in etcd cannot be read", cause: error)
        }
    }
}
