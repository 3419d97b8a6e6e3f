/// Decides, from what was agreed and what each side has, what has to be done so that both have the same.
///
/// Only paths that differ from the base at a side are looked at.
struct Reconciler {
    enum Decision: Hashable {
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

    let knowledge: Knowledge
    let theirs: [TreePath: Entry?]
    /// The target is made like the origin.
    let isMirroring: Bool
    /// The name of a root that is a single file.
    let fileName: [UInt8]?
    /// Paths of which only content will do.
    let plainOnly: Set<TreePath>
    /// Ends the name of a version that is set aside.
    let conflictSuffix: [UInt8]

    private var owners: Bool { knowledge.owners }

    private func ours(_ path: TreePath) -> Entry? { knowledge.record(at: path)?.entry }
    private func their(_ path: TreePath) -> Entry? {
        if let entry = theirs[path] { return entry }
        return knowledge.index[path]?.entry
    }

    func plan() -> Plan {
        let paths = Set(knowledge.local.paths).union(theirs.keys).sorted()
        var decisions: [TreePath: Decision] = [:]
        for path in paths { decisions[path] = decision(path) }
        keepFoldersOfSurvivors(paths, &decisions)
        leaveWhatMoves(paths, &decisions)
        return plan(paths, decisions)
    }

    private func decision(_ path: TreePath) -> Decision {
        let (ours, theirs, base) = (ours(path), their(path), knowledge.index[path]?.entry)
        if ours.matches(theirs, owners: owners) { return .agreed }
        // The mount itself is never deleted.
        if isMirroring || theirs.matches(base, owners: owners) || path.isRoot && theirs == nil { return .send }
        if ours.matches(base, owners: owners) { return .fetch }
        guard let ours else { return .fetch }
        guard let theirs else { return .send }
        // Where only metadata differs, the origin's is taken: there is nothing to keep.
        return ours.hasSameContent(as: theirs) || path.isRoot && fileName == nil ? .send : .part
    }

    /// What will be at `path`.
    private func outcome(_ path: TreePath, _ decision: Decision) -> Entry? {
        decision == .fetch ? their(path) : ours(path)
    }

    /// A path that stays needs its folders, whatever else was to become of them.
    private func keepFoldersOfSurvivors(_ paths: [TreePath], _ decisions: inout [TreePath: Decision]) {
        guard !isMirroring else { return }
        for path in paths {
            guard let decision = decisions[path], outcome(path, decision) != nil else { continue }
            var folder = path.parent
            while !folder.isRoot {
                if let above = decisions[folder], outcome(folder, above)?.isFolder != true {
                    if decision == .fetch {
                        decisions[folder] = ours(folder) == nil ? .fetch : .part
                    } else {
                        decisions[folder] = their(folder) == nil ? .send : .part
                    }
                }
                folder = folder.parent
            }
        }
    }

    private func leaveWhatMoves(_ paths: [TreePath], _ decisions: inout [TreePath: Decision]) {
        var moved: TreePath?
        for path in paths {
            if let moved, path.isBelow(moved) {
                decisions[path] = .leave
            } else if decisions[path] == .part, their(path)?.isFolder == true {
                moved = path
            }
        }
    }

    private func plan(_ paths: [TreePath], _ decisions: [TreePath: Decision]) -> Plan {
        var plan = Plan()
        var folders: [Plan.Put] = []
        // What has to go first makes room; the deepest goes first of all.
        for path in paths.reversed() {
            guard let decision = decisions[path] else { continue }
            let (ours, theirs) = (ours(path), their(path))
            switch decision {
            case .send where theirs != nil && makesRoom(theirs, for: ours):
                plan.puts.append(Plan.Put(path: path, kind: .remove, expected: fingerprint(path, theirs)))
            case .fetch where ours != nil && makesRoom(ours, for: theirs): plan.removals.append(path)
            default: break
            }
        }
        for path in paths {
            guard let decision = decisions[path] else { continue }
            let (ours, theirs) = (ours(path), their(path))
            switch decision {
            case .agreed: plan.agreed.append(path)
            case .leave: break
            case .fetch:
                if let theirs {
                    plan.takes.append(Plan.Take(path: path, entry: theirs, allowsTwin: !plainOnly.contains(path)))
                }
            case .send, .part:
                guard let ours else { continue }
                var there = theirs
                if decision == .part {
                    let name = conflictName(path)
                    plan.puts.append(
                        Plan.Put(path: path, kind: .rename(name), expected: fingerprint(path, theirs)))
                    if fileName == nil { there = nil }
                } else if makesRoom(theirs, for: ours) {
                    there = nil
                }
                plan.puts.append(put(path, ours, there))
                if ours.isFolder, there == nil {
                    folders.append(Plan.Put(path: path, kind: .finalFolder, expected: fingerprint(path, ours)))
                }
            }
        }
        plan.puts += folders.reversed()
        return plan
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
    private func conflictName(_ path: TreePath) -> [UInt8] {
        let whole = fileName?[...] ?? path.name
        var name = whole.prefix(TreePath.nameLimit - conflictSuffix.count)
        if name.count < whole.count {
            // Not within a letter.
            while let last = name.last, last & 0xc0 == 0x80 { name.removeLast() }
            if let last = name.last, last & 0xc0 == 0xc0 { name.removeLast() }
        }
        return Array(name) + conflictSuffix
    }
}
