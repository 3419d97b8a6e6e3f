import Etcd
import Ledger

extension EtcdLedger {
    /// etcd takes 128 comparisons and as many operations in one transaction; one of each is the leader's key.
    static let keysAtOnce = 127
    /// etcd takes requests of 1.5 MiB; what is put is most of one.
    private static let bytesAtOnce = 1 << 20
    /// A transaction that finds something changed so often is not going to be the first.
    private static let tries = 16
    /// How long an answer is waited for, over all tries, while the lease stands.
    private static let patience = Duration.seconds(10)

    /// Does `work` in a transaction that it shares with others, and returns when that is durable.
    ///
    /// - Parameters:
    ///   - keys: how many keys `work` reads and writes at most.
    ///   - work: may be done several times; throws only for what cannot be put into bytes. A refusal that is the
    ///     caller's own affair is returned as a failure, before anything was written.
    func write<Value: Sendable>(
        keys: Int, _ work: @escaping @Sendable (inout Draft) throws -> Result<Value, LedgerError>
    ) async throws(LedgerError) -> Value {
        try check()
        let result: Result<Value, LedgerError> = await withCheckedContinuation { continuation in
            queue.add(
                WriteQueue.Item(
                    keys: keys,
                    run: { draft in
                        let value = try work(&draft)
                        return { continuation.resume(returning: value) }
                    },
                    fail: { continuation.resume(returning: .failure($0)) }))
        }
        return try result.get()
    }

    /// As `write`, for housekeeping that nobody waits for: should it fail, it is done next time.
    func enqueue(keys: Int, _ work: @escaping @Sendable (inout Draft) throws -> Void) {
        queue.add(
            WriteQueue.Item(
                keys: keys,
                run: { draft in
                    try work(&draft)
                    return {}
                }, fail: { _ in }))
    }

    // MARK: - One batch

    func commit(_ items: [WriteQueue.Item]) async {
        var rest = items[...]
        while !rest.isEmpty { rest = rest.dropFirst(await commitFirst(of: rest)) }
    }

    /// Commits as many from the front as one transaction takes, and returns how many have been answered.
    private func commitFirst(of items: ArraySlice<WriteQueue.Item>) async -> Int {
        for _ in 0..<Self.tries {
            var draft = Draft(mirror)
            var answers: [@Sendable () -> Void] = []
            for item in items where draft.bytes < Self.bytesAtOnce {
                do {
                    answers.append(try item.run(&draft))
                } catch {
                    // What it had drafted goes with the draft; those before it are done without it.
                    guard answers.isEmpty else { return await commitFirst(of: items.prefix(answers.count)) }
                    item.fail(LedgerError(.storage, "the ledger cannot keep this", cause: error))
                    return 1
                }
            }
            switch await send(draft) {
            case .done:
                for answer in answers { answer() }
                return answers.count
            case .changed:
                continue
            case .failed(let error):
                // A write that fails takes no other with it, unless all would fail alike.
                let isCommon = error.code == .notLeader || error.code == .unreachable
                guard answers.count == 1 || isCommon else { return await commitFirst(of: items.prefix(1)) }
                for item in items.prefix(answers.count) { item.fail(error) }
                return answers.count
            }
        }
        items.first?.fail(LedgerError(.busy, "somebody else keeps writing the ledger in etcd; see who, and stop it"))
        return 1
    }

    private enum Outcome {
        case done
        /// Something was not as the mirror had it; now it is.
        case changed
        case failed(LedgerError)
    }

    private func send(_ draft: Draft) async -> Outcome {
        guard !draft.writes.isEmpty else { return leadership.holds ? .done : .failed(.noLongerLeader) }
        let seen = Array(draft.seen)
        let request = transaction(draft, seen: seen)
        let deadline = ContinuousClock.now + Self.patience
        var mayHaveHappened = false
        var pause = 10
        while true {
            guard leadership.holds else { return .failed(.noLongerLeader) }
            do throws(EtcdError) {
                let answer = try await client.transact(request)
                guard !answer.succeeded else {
                    take(draft, revision: answer.header.revision)
                    return .done
                }
                return settle(answer, draft, seen: seen, mayBeOurs: mayHaveHappened)
            } catch {
                mayHaveHappened = mayHaveHappened || error.mayHaveHappened
                guard error.mayHaveHappened || error.isPassing, ContinuousClock.now < deadline else {
                    return .failed(LedgerError(error))
                }
                // Once more, until it is known: the revisions tell whether the first has been done.
                try? await Task.sleep(for: .milliseconds(Int.random(in: pause / 2...pause)))
                pause = min(pause * 2, 200)
            }
        }
    }

    private func transaction(_ draft: Draft, seen: [(key: LedgerRecord.Key, value: Int64)]) -> EtcdTxnRequest {
        var request = EtcdTxnRequest()
        var isLeader = EtcdCompare()
        isLeader.target = .create
        isLeader.key = keys.leader
        isLeader.createRevision = leadership.revision
        request.compare = [isLeader]
        var look = EtcdRequestOp()
        look.requestRange.key = keys.leader
        look.requestRange.keysOnly = true
        request.failure = [look]
        for (key, revision) in seen {
            var compare = EtcdCompare()
            compare.target = .mod
            compare.key = keys[key]
            compare.modRevision = revision
            request.compare.append(compare)
            var look = EtcdRequestOp()
            look.requestRange.key = keys[key]
            request.failure.append(look)
        }
        for (key, write) in draft.writes {
            var operation = EtcdRequestOp()
            switch write {
            case .put(_, let data):
                operation.requestPut.key = keys[key]
                operation.requestPut.value = data
            case .delete:
                operation.requestDeleteRange.key = keys[key]
            }
            request.success.append(operation)
        }
        return request
    }

    private func take(_ draft: Draft, revision: Int64) {
        mirror.take(
            draft.writes.lazy.map { key, write in
                guard case .put(let record, _) = write else { return (key, nil) }
                return (key, Mirror.Entry(record: key.kind == .decision ? nil : record, revision: revision))
            }, at: revision)
    }

    /// A comparison failed: what is there instead has come with the answer.
    private func settle(
        _ answer: EtcdTxnResponse, _ draft: Draft, seen: [(key: LedgerRecord.Key, value: Int64)], mayBeOurs: Bool
    ) -> Outcome {
        let found = answer.responses.map { $0.responseRange.kvs.first }
        guard found.count == seen.count + 1, found[0]?.createRevision == leadership.revision else {
            leadership.lose()
            return .failed(.noLongerLeader)
        }
        var changes: [(LedgerRecord.Key, Mirror.Entry?)] = []
        // All that the draft puts is there, and all that it deletes is not: its first sending was done after all.
        var isOurs = mayBeOurs
        for ((key, _), pair) in zip(seen, found.dropFirst()) {
            switch draft.writes[key] {
            case .put(_, let data): isOurs = isOurs && pair?.value == data
            case .delete: isOurs = isOurs && pair == nil
            case nil: break
            }
            guard let pair else {
                changes.append((key, nil))
                continue
            }
            do throws(LedgerError) {
                let record = key.kind == .decision ? nil : try Self.record(key.kind, pair.value)
                changes.append((key, Mirror.Entry(record: record, revision: pair.modRevision)))
            } catch {
                return .failed(error)
            }
        }
        mirror.take(changes, at: answer.header.revision)
        return isOurs ? .done : .changed
    }
}
