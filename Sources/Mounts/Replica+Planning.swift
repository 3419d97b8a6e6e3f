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
        /// Of any number the first is enough.
        var failure: MountNotice?
        var failures = 0

        mutating func add(_ other: Conclusion) {
            isIncomplete = isIncomplete || other.isIncomplete
            failure = failure ?? other.failure
            failures += other.failures
        }
    }

    /// More changes than this at once are no regular target's.
    private static let changeLimit = 4_000_000

    /// The buckets of the target's tree that differ from the base; their paths count as gone until they are listed.
    func differingBuckets(_ digests: [Fingerprint]) throws(MountError) -> Set<UInt16> {
        try withState { state throws(SystemFailure) in
            let own = try Buckets(state.knowledge.index, count: digests.count, owners: owners).digests
            let differing = Set(own.indices.filter { own[$0] != digests[$0] }.map { UInt16($0) })
            guard !differing.isEmpty else { return [] }
            try state.knowledge.index.forEach { path, _ throws(SystemFailure) in
                if differing.contains(UInt16(Buckets.bucket(of: path, count: digests.count))) {
                    try state.knowledge.theirs.set(path, to: nil)
                }
            }
            return differing
        }
    }

    /// Takes in what the target has.
    func note(_ entries: [Message.Listed]) throws(MountError) {
        let count = try withState { state throws(SystemFailure) in
            for listed in entries where !state.rules.excludes(listed.path, isFolder: listed.entry?.isFolder == true) {
                try state.knowledge.told(listed.entry, at: listed.path)
            }
            // All that is here may be missing there.
            return state.knowledge.theirs.count - state.knowledge.index.count
        }
        guard count <= Self.changeLimit else { throw .violation("the target told of \(count) changes at once") }
    }

    /// How many paths differ at a side; those that differ at both count twice.
    var differences: Int { state.withLock { $0.knowledge.local.count + $0.knowledge.theirs.count } }

    /// Decides the next page of a round, and removes here what has to be removed.
    func plan(_ planning: Planning) throws(MountError) -> (plan: Plan, planning: Planning, conclusion: Conclusion) {
        try work { state throws(MountError) in
            var planning = planning
            let plan = try withStore { () throws(SystemFailure) in
                let plan = try decide(&planning, state)
                for path in plan.agreed {
                    try state.knowledge.agree(on: try state.knowledge.record(at: path), at: path)
                    try state.knowledge.theirs.remove(path)
                    state.hasUnsavedChanges = true
                }
                return plan
            }
            var conclusion = Conclusion()
            var cursor = FolderCursor(root)
            for path in plan.removals { try remove(path, &cursor, &conclusion, &state) }
            return (plan, planning, conclusion)
        }
    }

    private func decide(_ planning: inout Planning, _ state: borrowing State) throws(SystemFailure) -> Plan {
        try Reconciler(
            knowledge: state.knowledge, isMirroring: state.isMirroring, fileName: root.fileName,
            plainOnly: state.plainOnly
        ).plan(&planning)
    }

    private func remove(
        _ path: TreePath, _ cursor: inout FolderCursor, _ conclusion: inout Conclusion, _ state: inout State
    ) throws(MountError) {
        let expected = try withStore { () throws(SystemFailure) in try state.knowledge.fingerprint(of: path) }
        let operation = Message.Operation(id: 0, path: path, expected: expected, action: .remove)
        guard let outcome = try place(operation, expected: expected, &cursor, &state) else { return }
        if outcome == .applied {
            // The target's state stays to be reconciled where something else comes to this path.
            try withStore { () throws(SystemFailure) in
                if case .some(.none) = try state.knowledge.theirs.value(at: path) {
                    try state.knowledge.theirs.remove(path)
                }
            }
        }
        note(outcome, of: path, at: .origin, &conclusion, &state)
    }

    func want(_ takes: [(id: UInt32, take: Plan.Take)]) throws(MountError) -> [Message] {
        try withState { state throws(SystemFailure) in
            var wants: [Message] = []
            for (id, take) in takes {
                let expected = try state.knowledge.fingerprint(of: take.path)
                state.wanted[id] = Wanted(path: take.path, expected: expected)
                let known = try state.knowledge.record(at: take.path)?.entry
                let hasOld = take.entry.isFile && known?.isFile == true
                wants.append(
                    .want(Message.Want(id: id, path: take.path, comparesChunks: hasOld, allowsTwin: take.allowsTwin)))
            }
            return wants
        }
    }

    /// Takes in what became of steps.
    func conclude(
        _ steps: [(id: UInt32, step: Step, outcome: Message.Outcome)]
    ) throws(MountError) -> Conclusion {
        try withState { state throws(SystemFailure) in
            var conclusion = Conclusion()
            for (id, step, outcome) in steps { try conclude(id, step, outcome, &conclusion, &state) }
            return conclusion
        }
    }

    private func conclude(
        _ id: UInt32, _ step: Step, _ outcome: Message.Outcome, _ conclusion: inout Conclusion, _ state: inout State
    ) throws(SystemFailure) {
        if outcome == .applied { state.hasUnsavedChanges = true }
        switch step {
        case .remove(let path):
            if outcome == .applied { try leave(path, state.knowledge) }
            note(outcome, of: path, at: .target, &conclusion, &state)
        case .rename(let path, let name):
            if outcome == .applied {
                if !root.isFile { try leaveAll(path, state.knowledge) }
                let other = path.parent.appending(name)
                announce(.conflict(path: path.description, keptAs: other?.description ?? ""), &state)
                // The other version has to be fetched.
                conclusion.isIncomplete = true
            }
            note(outcome, of: path, at: .target, &conclusion, &state)
        case .put(let path):
            try concludePut(id, path, outcome, &state)
            note(outcome, of: path, at: .target, &conclusion, &state)
        case .finalFolder: break
        case .take(let path):
            state.wanted[id] = nil
            if outcome == .applied { try state.knowledge.theirs.remove(path) }
            if outcome == .changed { state.plainOnly.insert(path) } else { state.plainOnly.remove(path) }
            note(outcome, of: path, at: .origin, &conclusion, &state)
        }
    }

    /// The target has nothing there any more.
    private func leave(_ path: TreePath, _ knowledge: Knowledge) throws(SystemFailure) {
        if try knowledge.record(at: path) == nil {
            try knowledge.agree(on: nil, at: path)
            try knowledge.theirs.remove(path)
        } else {
            try knowledge.theirs.set(path, to: nil)
        }
    }

    /// Nor anything in it.
    private func leaveAll(_ folder: TreePath, _ knowledge: Knowledge) throws(SystemFailure) {
        try knowledge.theirs.forEach(below: folder) { path, _ throws(SystemFailure) in try leave(path, knowledge) }
        try knowledge.index.forEach(below: folder) { path, _ throws(SystemFailure) in try leave(path, knowledge) }
        try leave(folder, knowledge)
    }

    private func concludePut(
        _ id: UInt32, _ path: TreePath, _ outcome: Message.Outcome, _ state: inout State
    ) throws(SystemFailure) {
        let sent = state.sent.removeValue(forKey: id)
        if outcome == .changed { state.plainOnly.insert(path) }
        guard outcome == .applied else { return }
        state.plainOnly.remove(path)
        try state.knowledge.theirs.remove(path)
        if let sent {
            // What is here now has to be compared with what was sent.
            try state.knowledge.agree(on: Record(entry: sent, inode: 0, changed: 0), at: path)
            state.doubtful.insert(path.parent)
        } else {
            try state.knowledge.agree(on: try state.knowledge.record(at: path), at: path)
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
            conclusion.add(Conclusion(failure: failure, failures: 1))
            announce(failure, &state)
        }
    }

    /// Gives folders that came from the target their times and modes, now that they are full.
    func finishFolders() throws(MountError) {
        try withState { state throws(SystemFailure) in
            var last: TreePath?
            while case let page = try state.knowledge.unfinished.rows(before: last), !page.isEmpty {
                for (path, side) in page where side == .origin { try finish(path, &state) }
                last = page.last?.path
            }
            try state.knowledge.unfinished.removeAll()
        }
    }

    private func finish(_ path: TreePath, _ state: inout State) throws(SystemFailure) {
        guard let record = try state.knowledge.record(at: path), record.entry.isFolder else { return }
        do throws(SystemFailure) {
            let folder = try root.open(path)
            let attributes = ExtendedAttributes(of: folder.descriptor)
            try reader.apply(record.entry, attributes, to: folder.descriptor)
        } catch {
            state.doubtful.insert(path.parent)
        }
    }

    /// Ends the making of a mirror once nothing differs any more; from then on changes flow both ways.
    func endMirroring() {
        state.withLock { state in
            guard state.knowledge.theirs.isEmpty else { return }
            state.hasBase = true
            state.isMirroring = options.isReadOnly
        }
    }
}
