/// How far the planning of a round is: it goes through what differs several times, page by page.
struct Planning: Sendable {
    enum Stage: Sendable {
        /// Folders that would go are found to be needed by what stays in them.
        case survivors
        /// What has to go makes room, the deepest first.
        case removals
        /// All the rest, folders before what is in them.
        case changes
        /// New folders at the target get their times and modes, the deepest first.
        case folders
        case done
    }

    /// So many paths are looked at at once.
    let page: Int
    /// Ends the name of a version that is set aside.
    let conflictSuffix: [UInt8]
    var stage = Stage.survivors
    /// Where the stage goes on; nil at its beginning.
    var last: TreePath?
    /// Where the changes end that are this round's; what differs behind it since is the next one's.
    var end: TreePath?
    /// What becomes of folders because of what is in them.
    var turned: [TreePath: Reconciler.Decision] = [:]

    init(page: Int, conflictSuffix: [UInt8]) {
        self.page = page
        self.conflictSuffix = conflictSuffix
    }

    /// Of a round that does nothing.
    static var nothing: Planning {
        var planning = Planning(page: 1, conflictSuffix: [])
        planning.stage = .done
        return planning
    }

    var isDone: Bool { stage == .done }

    mutating func enter(_ next: Stage) { (stage, last) = (next, nil) }
}
