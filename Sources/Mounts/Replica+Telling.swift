internal import Synchronization

/// What the target tells of its tree.
extension Replica {
    /// The whole tree in short. What was found so far counts as told.
    func buckets() throws(MountError) -> [Fingerprint] {
        try withState { state throws(SystemFailure) in
            try state.knowledge.untold.removeAll()
            let count = Buckets.count(for: state.knowledge.index.count)
            state.bucketCount = count
            return try Buckets(state.knowledge.index, count: count, owners: owners).digests
        }
    }

    /// A part of what is told: as much as is worth sending at once.
    struct Telling: Sendable {
        var messages: [Message] = []
        /// Where it goes on; nil at the end.
        var last: TreePath?
    }

    /// What is in these buckets.
    /// - Parameter last: Where the part before ended.
    func listing(_ buckets: Set<UInt16>, after last: TreePath?) throws(MountError) -> Telling {
        try withState { state throws(SystemFailure) in
            // The tree may have grown since the digests were made.
            let count = state.bucketCount
            let page = try state.knowledge.index.rows(after: last)
            let entries = page.compactMap { path, record in
                buckets.contains(UInt16(Buckets.bucket(of: path, count: count)))
                    ? Message.Listed(path: path, entry: record?.entry) : nil
            }
            let isLast = page.count < PathTable<Record>.page
            return Telling(messages: Self.messages(entries), last: isLast ? nil : page.last?.path)
        }
    }

    /// What has changed since it was told last.
    func news() throws(MountError) -> Telling {
        try withState { state throws(SystemFailure) in
            let page = try state.knowledge.untold.rows(after: nil)
            var entries: [Message.Listed] = []
            for (path, _) in page {
                entries.append(Message.Listed(path: path, entry: try state.knowledge.record(at: path)?.entry))
                try state.knowledge.told.set(path, to: nil)
                try state.knowledge.untold.remove(path)
            }
            let isLast = state.knowledge.untold.isEmpty
            return Telling(messages: Self.messages(entries), last: isLast ? nil : page.last?.path)
        }
    }

    /// In messages that are small enough: a path may take four kibibytes, so they are counted too.
    private static func messages(_ entries: [Message.Listed]) -> [Message] {
        var messages: [Message] = []
        var batch: [Message.Listed] = []
        var size = 0
        for listed in entries {
            batch.append(listed)
            size += listed.path.bytes.count + Entry.byteCount + 3
            if size >= Message.pieceLimit {
                messages.append(.entries(batch))
                (batch, size) = ([], 0)
            }
        }
        if !batch.isEmpty { messages.append(.entries(batch)) }
        return messages
    }

    /// Whether something was refused or found different, so that the tree has to be looked at without being asked.
    var isDoubtful: Bool { state.withLock { !$0.doubtful.isEmpty } }

    /// A round has ended.
    func settle() throws(MountError) {
        try withState { state throws(SystemFailure) in
            try state.knowledge.told.removeAll()
            try state.knowledge.shipped.removeAll()
        }
    }
}
