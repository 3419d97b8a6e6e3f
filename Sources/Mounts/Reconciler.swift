/// Decides, from what was agreed and what each side has, what has to be done so that both have the same.
///
/// Only paths that differ from the base at a side are looked at.
struct Reconciler {
    enum Decision: Hashable, Sendable {
        case agreed
        /// The origin's state goes to the target.
        case send
        /// The target's state goes to the origin.
        case fetch
        /// The target's version is set aside, and the origin's takes its place.
        case part
        /// It moves with a folder that is set aside.
        case leave
    }

    /// What is at a path here, there, and in the base.
    struct Situation {
        let path: TreePath
        let ours: Entry?
        let theirs: Entry?
        let base: Entry?
    }

    let knowledge: Knowledge
    /// The target is made like the origin.
    let isMirroring: Bool
    /// The name of a root that is a single file.
    let fileName: [UInt8]?
    /// Paths of which only content will do.
    let plainOnly: Set<TreePath>

    private var owners: Bool { knowledge.owners }
    /// Whether what one side wants can be in the way of what the other one does.
    private var canClash: Bool { !isMirroring && !knowledge.local.isEmpty && !knowledge.theirs.isEmpty }

    /// A first comparison with an empty mirror, say, has nothing to remove.
    private var canRemove: Bool { !isMirroring || !knowledge.local.isEmpty || knowledge.hasTheirs }

    /// Plans the next page of a round; all of it where little differs.
    func plan(_ planning: inout Planning) throws(SystemFailure) -> Plan {
        var plan = Plan()
        repeat { try go(on: &planning, &plan) } while !planning.isDone && planning.last == nil
        return plan
    }

    private func go(on planning: inout Planning, _ plan: inout Plan) throws(SystemFailure) {
        switch planning.stage {
        case .survivors:
            let page = canClash ? try differences(after: planning.last, planning.page) : []
            try keepFoldersOfSurvivors(page, &planning)
            advance(&planning, page.last?.path, after: page.count, to: .removals)
        case .removals:
            let page = canRemove ? try differences(before: planning.last, planning.page) : []
            try planRemovals(page, planning, &plan)
            advance(&planning, page.last?.path, after: page.count, to: .changes)
        case .changes:
            if planning.last == nil { planning.end = try differences(before: nil, 1).first?.path }
            let page = try differences(after: planning.last, planning.page)
            let own = page.prefix { at in planning.end.map { !$0.isFiled(before: at.path) } ?? false }
            try planChanges(own, planning, &plan)
            advance(&planning, page.last?.path, after: own.count, to: .folders)
        case .folders:
            let page = try knowledge.unfinished.rows(before: planning.last, limit: planning.page)
            for (path, side) in page where side == .target {
                let expected = try knowledge.fingerprint(of: path)
                plan.puts.append(Plan.Put(path: path, kind: .finalFolder, expected: expected))
            }
            advance(&planning, page.last?.path, after: page.count, to: .done)
        case .done: break
        }
    }

    private func advance(_ planning: inout Planning, _ last: TreePath?, after count: Int, to next: Planning.Stage) {
        if count < planning.page { planning.enter(next) } else { planning.last = last }
    }

    // MARK: What differs

    private func differences(after path: TreePath?, _ limit: Int) throws(SystemFailure) -> [Situation] {
        try situations(
            try knowledge.local.rows(after: path, limit: limit),
            try knowledge.theirs.rows(after: path, limit: limit), limit
        ) { $0.isFiled(before: $1) }
    }

    private func differences(before path: TreePath?, _ limit: Int) throws(SystemFailure) -> [Situation] {
        try situations(
            try knowledge.local.rows(before: path, limit: limit),
            try knowledge.theirs.rows(before: path, limit: limit), limit
        ) { $1.isFiled(before: $0) }
    }

    /// The first of both, in order, as many as a page holds.
    private func situations(
        _ local: [PathTable<Record>.Row], _ theirs: [PathTable<Entry>.Row], _ limit: Int,
        isBefore: (TreePath, TreePath) -> Bool
    ) throws(SystemFailure) -> [Situation] {
        var (local, theirs) = (local[...], theirs[...])
        var situations: [Situation] = []
        while situations.count < limit {
            guard let path = [local.first?.path, theirs.first?.path].compactMap(\.self).min(by: isBefore) else { break }
            let base = try knowledge.base(of: path)
            let here = local.first?.path == path ? local.removeFirst() : nil
            let there = theirs.first?.path == path ? theirs.removeFirst() : nil
            situations.append(
                Situation(
                    path: path, ours: here.map { $0.value?.entry } ?? base, theirs: there.map(\.value) ?? base,
                    base: base))
        }
        return situations
    }

    /// Nil where the path differs at neither side.
    private func difference(at path: TreePath) throws(SystemFailure) -> Situation? {
        let (here, there) = (try knowledge.local.value(at: path), try knowledge.theirs.value(at: path))
        if here == nil, there == nil { return nil }
        let base = try knowledge.base(of: path)
        return Situation(path: path, ours: here.map { $0?.entry } ?? base, theirs: there ?? base, base: base)
    }

    // MARK: Decisions

    private func decision(_ at: Situation, _ planning: Planning) -> Decision {
        planning.turned[at.path] ?? decision(at)
    }

    private func decision(_ at: Situation) -> Decision {
        let (ours, theirs, base) = (at.ours, at.theirs, at.base)
        if ours.matches(theirs, owners: owners) { return .agreed }
        // The mount itself is never deleted.
        if isMirroring || theirs.matches(base, owners: owners) || at.path.isRoot && theirs == nil { return .send }
        if ours.matches(base, owners: owners) { return .fetch }
        guard let ours else { return .fetch }
        guard let theirs else { return .send }
        // Where only metadata differs, the origin's is taken: there is nothing to keep.
        return ours.hasSameContent(as: theirs) || at.path.isRoot && fileName == nil ? .send : .part
    }

    /// What will be at a path.
    private func outcome(_ at: Situation, _ decision: Decision) -> Entry? {
        decision == .fetch ? at.theirs : at.ours
    }

    /// A path that stays needs its folders, whatever else was to become of them.
    private func keepFoldersOfSurvivors(_ page: [Situation], _ planning: inout Planning) throws(SystemFailure) {
        // What was done for one path in a folder holds for the next one that has the same reason.
        var done: (folder: TreePath, isFetch: Bool)?
        for at in page {
            let decision = decision(at, planning)
            guard outcome(at, decision) != nil else { continue }
            var folder = at.path.parent
            if let done, done == (folder, decision == .fetch) { continue }
            done = (folder, decision == .fetch)
            while !folder.isRoot {
                if let above = try difference(at: folder),
                    outcome(above, self.decision(above, planning))?.isFolder != true
                {
                    if decision == .fetch {
                        planning.turned[folder] = above.ours == nil ? .fetch : .part
                    } else {
                        planning.turned[folder] = above.theirs == nil ? .send : .part
                    }
                }
                folder = folder.parent
            }
        }
    }

    /// Says of paths, one after the other, whether they move with a folder that is set aside.
    private struct Movers {
        let reconciler: Reconciler
        private var last: (folder: TreePath, moves: Bool)?

        init(_ reconciler: Reconciler) { self.reconciler = reconciler }

        mutating func moves(_ path: TreePath, _ planning: Planning) throws(SystemFailure) -> Bool {
            guard reconciler.canClash else { return false }
            let folder = path.parent
            if let last, last.folder == folder { return last.moves }
            let moves = try reconciler.isSetAside(folder, planning)
            last = (folder, moves)
            return moves
        }
    }

    /// Whether a folder, or one that it is in, is set aside.
    private func isSetAside(_ folder: TreePath, _ planning: Planning) throws(SystemFailure) -> Bool {
        var folder = folder
        while !folder.isRoot {
            if let above = try difference(at: folder), above.theirs?.isFolder == true,
                decision(above, planning) == .part
            {
                return true
            }
            folder = folder.parent
        }
        return false
    }

    // MARK: Plans

    private func planRemovals(_ page: [Situation], _ planning: Planning, _ plan: inout Plan) throws(SystemFailure) {
        var movers = Movers(self)
        for at in page {
            if try movers.moves(at.path, planning) { continue }
            switch decision(at, planning) {
            case .send where at.theirs != nil && makesRoom(at.theirs, for: at.ours):
                plan.puts.append(Plan.Put(path: at.path, kind: .remove, expected: fingerprint(at.path, at.theirs)))
            case .fetch where at.ours != nil && makesRoom(at.ours, for: at.theirs): plan.removals.append(at.path)
            default: break
            }
        }
    }

    private func planChanges(
        _ page: ArraySlice<Situation>, _ planning: Planning, _ plan: inout Plan
    ) throws(SystemFailure) {
        var movers = Movers(self)
        for at in page {
            let path = at.path
            let decision = try movers.moves(path, planning) ? .leave : decision(at, planning)
            switch decision {
            case .agreed: plan.agreed.append(path)
            case .leave: break
            case .fetch:
                guard let theirs = at.theirs else { continue }
                plan.takes.append(Plan.Take(path: path, entry: theirs, allowsTwin: !plainOnly.contains(path)))
                if theirs.isFolder { try knowledge.unfinished.set(path, to: .origin) }
            case .send, .part:
                guard let ours = at.ours else { continue }
                var there = at.theirs
                if decision == .part {
                    let name = conflictName(path, planning.conflictSuffix)
                    plan.puts.append(
                        Plan.Put(path: path, kind: .rename(name), expected: fingerprint(path, there)))
                    if fileName == nil { there = nil }
                } else if makesRoom(there, for: ours) {
                    there = nil
                }
                plan.puts.append(put(path, ours, there))
                if ours.isFolder, there == nil { try knowledge.unfinished.set(path, to: .target) }
            }
        }
    }

    /// Whether what is there has to be removed before the other can be put there.
    private func makesRoom(_ there: Entry?, for other: Entry?) -> Bool {
        guard let there, let other else { return there != nil }
        return there.isFolder != other.isFolder
    }

    private func put(_ path: TreePath, _ ours: Entry, _ there: Entry?) -> Plan.Put {
        let kind: Shipment.Kind
        if ours.isFile, let there, there.hasSameContent(as: ours) {
            kind = .metadata
        } else {
            kind = .content(comparesChunks: there?.isFile == true, allowsTwin: !plainOnly.contains(path))
        }
        return Plan.Put(path: path, kind: kind, expected: fingerprint(path, there))
    }

    private func fingerprint(_ path: TreePath, _ entry: Entry?) -> UInt64 {
        Fingerprint.of(path, entry, owners: owners)
    }

    /// The path's name with the suffix, cut where it would become too long.
    private func conflictName(_ path: TreePath, _ suffix: [UInt8]) -> [UInt8] {
        let whole = fileName?[...] ?? path.name
        var name = whole.prefix(TreePath.nameLimit - suffix.count)
        if name.count < whole.count {
            // Not within a letter.
            while let last = name.last, last & 0xc0 == 0x80 { name.removeLast() }
            if let last = name.last, last & 0xc0 == 0xc0 { name.removeLast() }
        }
        return Array(name) + suffix
    }
}
