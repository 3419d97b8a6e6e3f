internal import NIOCore
internal import Synchronization

extension Replica {
    /// Takes operations and content in the order in which they came.
    /// - Returns: What has to be answered; at the origin outcomes are for itself.
    func receive(_ messages: [Message]) throws(MountError) -> [Message] {
        try work { state throws(MountError) in
            var cursor = FolderCursor(root)
            var answers: [Message] = []
            for message in messages {
                guard !stop.isSet else { throw MountError(.stopped, "the mount has been ended") }
                answers += try receive(message, &cursor, &state)
            }
            return answers
        }
    }

    /// Drops what has not arrived wholly, and the temporary files with it.
    func dropArrivals() { state.withLock { $0.arrivals = [:] } }

    private func receive(
        _ message: Message, _ cursor: inout FolderCursor, _ state: inout State
    ) throws(MountError) -> [Message] {
        switch message {
        case .place(let operation):
            let expected = try expectation(of: operation, state)
            let outcome = try place(operation, expected: expected, &cursor, &state)
            return outcome.map { [.done(operation.id, $0)] } ?? []
        case .chunks(let id, let marks):
            // No flags tell the sender that the file is not wanted any more.
            var flags: [UInt8] = []
            let answers = try advance(id, &state) { file throws(SystemFailure) in flags = try file.take(marks) }
            return [.needs(id, flags)] + answers
        case .data(let id, let offset, let bytes):
            return try advance(id, &state) { file throws(SystemFailure) in try file.write(bytes, at: offset) }
        case .hole(let id, let offset, let length):
            return try advance(id, &state) { file throws(SystemFailure) in try file.skip(length, at: offset) }
        case .commit(let id, let entry):
            return try commit(id, entry, &cursor, &state).map { [.done(id, $0)] } ?? []
        case .abort(let id):
            state.arrivals[id] = nil
            return side == .origin ? [.done(id, .changed)] : []
        default: throw .violation("the mount's other side sent a message out of turn")
        }
    }

    /// The origin asked for what comes, so it is its own idea of the path that counts.
    private func expectation(of operation: Message.Operation, _ state: borrowing State) throws(MountError) -> UInt64 {
        guard side == .origin else { return operation.expected }
        guard let wanted = state.wanted[operation.id], wanted.path == operation.path else {
            throw .violation("the target sent \(operation.path), which was not asked for")
        }
        switch operation.action {
        case .remove, .rename: throw .violation("the target asked to remove \(operation.path)")
        default: return wanted.expected
        }
    }

    func begin(
        _ operation: Message.Operation, _ entry: Entry, _ attributes: ExtendedAttributes, _ expected: UInt64,
        _ comparesChunks: Bool, _ place: Place, _ state: inout State
    ) throws(SystemFailure) {
        guard state.arrivals.count < Message.arrivalLimit, state.arrivals[operation.id] == nil else {
            throw .impossible
        }
        let staged = try StagedFile(in: place.folder)
        var file = IncomingFile(operation, entry: entry, attributes: attributes, expected: expected, staged: staged)
        // Without an old version everything travels.
        if comparesChunks, let old = try? place.folder.file(place.name) { try file.compare(with: old, stop: stop) }
        state.arrivals[operation.id] = file
    }

    /// Content of a file that was refused, or has failed, is passed over: its sender does not know yet.
    private func advance(
        _ id: UInt32, _ state: inout State, _ body: (inout IncomingFile) throws(SystemFailure) -> Void
    ) throws(MountError) -> [Message] {
        guard var file = state.arrivals.removeValue(forKey: id) else { return [] }
        do throws(SystemFailure) {
            try body(&file)
            state.arrivals[id] = file
            return []
        } catch {
            return [.done(id, try outcome(of: error, at: file.path, &state))]
        }
    }

    /// Nil where the outcome has been told already.
    private func commit(
        _ id: UInt32, _ entry: Entry, _ cursor: inout FolderCursor, _ state: inout State
    ) throws(MountError) -> Message.Outcome? {
        guard let file = state.arrivals.removeValue(forKey: id) else { return nil }
        guard entry.isFile, entry.size <= file.entry.size else { throw failure(.impossible, file.path) }
        do throws(SystemFailure) {
            // It may have taken long to arrive.
            guard try isExpected(file.path, file.expected, &cursor, &state) else {
                state.doubtful.insert(file.path.parent)
                return .changed
            }
            let place = try cursor.place(of: file.path)
            return try install(file.staged, file.path, entry, file.attributes, place, &state)
        } catch {
            return try outcome(of: error, at: file.path, &state)
        }
    }

    /// Puts a file that has arrived into its place, once its content is what was announced.
    func install(
        _ staged: StagedFile, _ path: TreePath, _ entry: Entry, _ attributes: ExtendedAttributes, _ place: Place,
        _ state: inout State
    ) throws(SystemFailure) -> Message.Outcome {
        guard try staged.finish(size: entry.size, stop: stop) == entry.digest else { return .changed }
        var status: FileStatus
        if root.isFile, try place.folder.status(place.name) != nil {
            let file = try staged.pour(into: place.name, size: entry.size)
            try reader.apply(entry, attributes, to: file)
            status = try file.status()
        } else {
            try reader.apply(entry, attributes, to: staged.file)
            status = try staged.install(as: place.name)
        }
        let record = Record(entry: entry, inode: status.inode, changed: reader.mark(of: status))
        try state.knowledge.agree(on: record, at: path)
        return .applied
    }
}
