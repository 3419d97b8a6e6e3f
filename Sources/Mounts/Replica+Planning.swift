import Glibc
internal import Synchronization

/// The origin's bookkeeping of a round.
extension Replica {
    /// What was to be done for one path, as it is remembered until it is done.
    enum Step: Sendable {
        case remove(TreePath)
        case rename(TreePath, to: [UInt8])
        case put(TreePath)
        case finalFolder
        case take(TreePath)
    }

    /// What became of a round's steps.
    struct Conclusion: Sendable {
        /// Something else was found than was known, so that another round is due.
        var isIncomplete = false
        var failures: [MountNotice] = []
    }

    /// More changes than this at once are no regular target's.
    private static let changeLimit = 4_000_000

    /// The buckets of the target's tree that differ from the base; their paths count as gone until they are listed.
    func differingBuckets(_ digests: [Fingerprint]) -> Set<UInt16> {
        state.withLock { state in
            let own = Buckets(state.knowledge.index, count: digests.count, owners: owners).digests
            let differing = Set(own.indices.filter { own[$0] != digests[$0] }.map { UInt16($0) })
            guard !differing.isEmpty else { return [] }
            state.knowledge.index.forEach { path, _ in
                if differing.contains(UInt16(Buckets.bucket(of: path, count: digests.count))) {
                    state.theirs[path] = .some(nil)
                }
            }
            return differing
        }
    }

    /// Takes in what the target has.
    func note(_ entries: [Message.Listed]) throws(MountError) {
        try state.withLock { state throws(MountError) in
            for listed in entries where !state.rules.excludes(listed.path, isFolder: listed.entry?.isFolder == true) {
                let base = state.knowledge.index[listed.path]?.entry
                if base.matches(listed.entry, owners: owners) {
                    state.theirs[listed.path] = nil
                } else {
                    state.theirs[listed.path] = .some(listed.entry)
                }
            }
            guard state.theirs.count <= Self.changeLimit else {
                throw .violation("the target told of \(state.theirs.count) changes at once")
            }
        }
    }

    /// Decides a round, and removes here what has to be removed.
    func plan(conflictSuffix: [UInt8]) throws(MountError) -> (plan: Plan, conclusion: Conclusion) {
        try state.withLock { state throws(MountError) in
            let plan = decide(state, conflictSuffix: conflictSuffix)
            state.shipped = []
            for path in plan.agreed {
                state.knowledge.agree(on: state.knowledge.record(at: path), at: path)
                state.theirs[path] = nil
                state.hasUnsavedChanges = true
            }
            var conclusion = Conclusion()
            var cursor = FolderCursor(root)
            for path in plan.removals {
                let expected = state.knowledge.fingerprint(of: path)
                let operation = Message.Operation(id: 0, path: path, expected: expected, action: .remove)
                guard let outcome = try place(operation, expected: expected, &cursor, &state) else { continue }
                // The target's state stays to be reconciled where something else comes to this path.
                if outcome == .applied, case .some(.none) = state.theirs[path] { state.theirs[path] = nil }
                note(outcome, of: path, at: .origin, &conclusion, &state)
            }
            return (plan, conclusion)
        }
    }

    /// Apart, so that nothing it holds is copied when it is changed later.
    private func decide(_ state: borrowing State, conflictSuffix: [UInt8]) -> Plan {
        Reconciler(
            knowledge: state.knowledge, theirs: state.theirs, isMirroring: state.isMirroring, fileName: root.fileName,
            plainOnly: state.plainOnly, conflictSuffix: conflictSuffix
        ).plan()
    }

    func want(_ takes: [(id: UInt32, take: Plan.Take)]) -> [Message] {
        state.withLock { state in
            takes.map { id, take in
                let expected = state.knowledge.fingerprint(of: take.path)
                state.wanted[id] = Wanted(path: take.path, expected: expected)
                let hasOld = take.entry.isFile && state.knowledge.record(at: take.path)?.entry.isFile == true
                return .want(
                    Message.Want(id: id, path: take.path, comparesChunks: hasOld, allowsTwin: take.allowsTwin))
            }
        }
    }

    /// Takes in what became of steps.
    func conclude(_ steps: [(id: UInt32, step: Step, outcome: Message.Outcome)], _ conclusion: inout Conclusion) {
        conclusion = state.withLock { [conclusion] state in
            var conclusion = conclusion
            for (id, step, outcome) in steps { conclude(id, step, outcome, &conclusion, &state) }
            return conclusion
        }
    }

    private func conclude(
        _ id: UInt32, _ step: Step, _ outcome: Message.Outcome, _ conclusion: inout Conclusion, _ state: inout State
    ) {
        if outcome == .applied { state.hasUnsavedChanges = true }
        switch step {
        case .remove(let path):
            if outcome == .applied { leave(path, &state) }
            note(outcome, of: path, at: .target, &conclusion, &state)
        case .rename(let path, let name):
            if outcome == .applied {
                if !root.isFile {
                    for inner in state.theirs.keys.filter({ $0.isBelow(path) }) { leave(inner, &state) }
                    for inner in state.knowledge.index.paths(below: path) { leave(inner, &state) }
                    leave(path, &state)
                }
                let other = path.parent.appending(name)
                announce(.conflict(path: path.description, keptAs: other?.description ?? ""), &state)
                // The other version has to be fetched.
                conclusion.isIncomplete = true
            }
            note(outcome, of: path, at: .target, &conclusion, &state)
        case .put(let path):
            concludePut(id, path, outcome, &state)
            note(outcome, of: path, at: .target, &conclusion, &state)
        case .finalFolder: break
        case .take(let path):
            state.wanted[id] = nil
            if outcome == .applied { state.theirs[path] = nil }
            if outcome == .changed { state.plainOnly.insert(path) } else { state.plainOnly.remove(path) }
            note(outcome, of: path, at: .origin, &conclusion, &state)
        }
    }

    /// The target has nothing there any more.
    private func leave(_ path: TreePath, _ state: inout State) {
        if state.knowledge.record(at: path) == nil {
            state.knowledge.agree(on: nil, at: path)
            state.theirs[path] = nil
        } else {
            state.theirs[path] = .some(nil)
        }
    }

    private func concludePut(_ id: UInt32, _ path: TreePath, _ outcome: Message.Outcome, _ state: inout State) {
        let sent = state.sent.removeValue(forKey: id)
        if outcome == .changed { state.plainOnly.insert(path) }
        guard outcome == .applied else { return }
        state.plainOnly.remove(path)
        state.theirs[path] = nil
        if let sent {
            // What is here now has to be compared with what was sent.
            state.knowledge.agree(on: Record(entry: sent, inode: 0, changed: 0), at: path)
            state.doubtful.insert(path.parent)
        } else {
            state.knowledge.agree(on: state.knowledge.record(at: path), at: path)
        }
    }

    private func note(
        _ outcome: Message.Outcome, of path: TreePath, at side: MountSide, _ conclusion: inout Conclusion,
        _ state: inout State
    ) {
        switch outcome {
        case .applied, .kept: break
        case .changed: conclusion.isIncomplete = true
        case .failed(let reason):
            let failure = MountNotice.failed(path: path.description, side: side, reason: reason)
            conclusion.failures.append(failure)
            announce(failure, &state)
        }
    }

    /// Gives folders that came from the target their times and modes, now that they are full.
    func finishFolders(_ takes: [Plan.Take]) throws(MountError) {
        try state.withLock { state throws(MountError) in
            for take in takes.reversed() where take.entry.isFolder {
                guard let record = state.knowledge.record(at: take.path), record.entry.isFolder else { continue }
                do throws(SystemFailure) {
                    let folder = try root.open(take.path)
                    let attributes = ExtendedAttributes(of: folder.descriptor)
                    try reader.apply(record.entry, attributes, to: folder.descriptor)
                } catch {
                    state.doubtful.insert(take.path.parent)
                }
            }
        }
    }

    /// Ends the making of a mirror once nothing differs any more; from then on changes flow both ways.
    func endMirroring() {
        state.withLock { state in
            guard state.theirs.isEmpty else { return }
            state.hasBase = true
            state.isMirroring = options.isReadOnly
        }
    }
}
