internal import Synchronization

/// What the target tells of its tree.
extension Replica {
    /// The whole tree in short. What was found so far counts as told.
    func buckets() -> [Fingerprint] {
        state.withLock { state in
            state.knowledge.untold = []
            let count = Buckets.count(for: state.knowledge.index.count)
            state.bucketCount = count
            return Buckets(state.knowledge.index, count: count, owners: owners).digests
        }
    }

    /// What is in these buckets.
    func listing(_ buckets: Set<UInt16>) -> [Message] {
        state.withLock { state in
            var entries: [Message.Listed] = []
            // The tree may have grown since the digests were made.
            let count = state.bucketCount
            state.knowledge.index.forEach { path, record in
                if buckets.contains(UInt16(Buckets.bucket(of: path, count: count))) {
                    entries.append(Message.Listed(path: path, entry: record.entry))
                }
            }
            return Self.messages(entries)
        }
    }

    /// What has changed since the last call.
    func news() -> [Message] {
        state.withLock { state in
            let paths = state.knowledge.untold.sorted()
            state.knowledge.untold = []
            state.told.formUnion(paths)
            return Self.messages(
                paths.map { Message.Listed(path: $0, entry: state.knowledge.record(at: $0)?.entry) })
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
    func settle() {
        state.withLock { state in
            state.told = []
            state.shipped = []
        }
    }
}
