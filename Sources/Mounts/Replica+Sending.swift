import Glibc
internal import NIOCore
internal import Synchronization

extension Replica {
    /// A file that is too large for one message.
    struct LargeFile: Sendable {
        let shipment: Shipment
        let file: Descriptor
        let entry: Entry
        let attributes: ExtendedAttributes
        let comparesChunks: Bool
    }

    enum Parcel: Sendable {
        /// - waits: Whether everything before it has to be sent first.
        case message(Message, waits: Bool)
        case file(LargeFile)
        /// There is nothing to send any more.
        case nothing
    }

    /// What is sent at once.
    struct Load: Sendable {
        /// How many shipments it is made of.
        fileprivate(set) var count = 0
        fileprivate(set) var messages: [Message] = []
        /// Comes after the messages.
        fileprivate(set) var file: LargeFile?
        /// Shipments of which there is nothing to send any more.
        fileprivate(set) var unsent: [UInt32] = []
        /// Whether all files have to be sent before what follows.
        fileprivate(set) var waits = false
        fileprivate var size = 0
    }

    /// Reads what the first shipments carry, up to a bound, so that small files travel together.
    /// - Parameter isQuiet: Whether no file is on its way beside what is loaded.
    func load(_ shipments: ArraySlice<Shipment>, isQuiet: Bool) throws(MountError) -> Load {
        var load = Load()
        var cursor = FolderCursor(root)
        for shipment in shipments {
            switch try parcel(for: shipment, &cursor) {
            case .nothing: load.unsent.append(shipment.id)
            case .file(let file): load.file = file
            case .message(let message, let waits):
                load.waits = waits && !isQuiet
                if load.waits { return load }
                load.messages.append(message)
                load.size += message.weight
            }
            load.count += 1
            if load.file != nil || load.size >= Message.pieceLimit { break }
        }
        return load
    }

    /// Files up to this size travel whole.
    static let smallSize: Int64 = 64 << 10

    /// Reads what a shipment carries.
    private func parcel(for shipment: Shipment, _ cursor: inout FolderCursor) throws(MountError) -> Parcel {
        let path = shipment.path
        func place(_ action: Message.Action, waits: Bool = false) -> Parcel {
            let operation = Message.Operation(
                id: shipment.id, path: path, expected: shipment.expected, action: action)
            return .message(.place(operation), waits: waits)
        }
        switch shipment.kind {
        case .remove: return place(.remove)
        case .rename(let name): return place(.rename(name))
        case .content, .metadata, .finalFolder: break
        }
        let (record, twin) = try withState { state throws(SystemFailure) in
            let twin = try self.twin(for: shipment, state.knowledge)
            try state.knowledge.shipped.set(path, to: nil)
            return (try state.knowledge.record(at: path), twin)
        }
        guard let record else { return .nothing }
        do throws(SystemFailure) {
            let location = try cursor.place(of: path)
            switch record.entry.kind {
            case .folder:
                let folder = try location.folder.folder(location.name).descriptor
                let action = Message.Action.folder(record.entry, ExtendedAttributes(of: folder))
                return place(action, waits: shipment.kind == .finalFolder)
            case .link:
                let text = try location.folder.readLink(location.name)
                var entry = record.entry
                (entry.digest, entry.size) = (Digest(of: text), Int64(text.count))
                try noteSent(entry, instead: record.entry, shipment)
                return place(.link(entry, text: text))
            case .file:
                if let twin { return place(.twin(record.entry, path: twin), waits: true) }
                return try file(shipment, record, try location.folder.file(location.name), place: { place($0) })
            }
        } catch {
            try withState { state throws(SystemFailure) in
                state.doubtful.insert(path.parent)
                if isOrphan(path) { try lose(path, &state) }
            }
            return .nothing
        }
    }

    private func twin(for shipment: Shipment, _ knowledge: Knowledge) throws(SystemFailure) -> TreePath? {
        guard case .content(_, allowsTwin: true) = shipment.kind else { return nil }
        return try knowledge.twin(of: shipment.path) { other throws(SystemFailure) in
            if try knowledge.shipped.has(other) { return true }
            switch side {
            case .origin:
                let (here, there) = (try knowledge.local.has(other), try knowledge.theirs.has(other))
                return !here && !there
            case .target: return try !knowledge.told.has(other)
            }
        }
    }

    private func file(
        _ shipment: Shipment, _ record: Record, _ file: Descriptor, place: (Message.Action) -> Parcel
    ) throws(SystemFailure) -> Parcel {
        let status = try file.status()
        guard status.kind == .file else { return .nothing }
        let attributes = ExtendedAttributes(of: file)
        if shipment.kind == .metadata { return place(.settle(record.entry, attributes)) }
        var entry = reader.entry(status, digest: record.entry.digest, attributes: attributes.hash)
        if !reader.isPrivileged { (entry.owner, entry.group) = (record.entry.owner, record.entry.group) }
        guard status.size <= Self.smallSize else {
            guard case .content(let comparesChunks, _) = shipment.kind else { return .nothing }
            return .file(
                LargeFile(
                    shipment: shipment, file: file, entry: entry, attributes: attributes,
                    comparesChunks: comparesChunks))
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.size))
        let count = try file.read(into: &bytes, count: bytes.count, at: 0)
        bytes.removeLast(bytes.count - count)
        (entry.digest, entry.size) = (Digest(of: bytes), Int64(count))
        try noteSent(entry, instead: record.entry, shipment)
        return place(.file(entry, attributes, ByteBuffer(bytes: bytes)))
    }

    /// Remembers that something newer was sent than is known here.
    func noteSent(_ entry: Entry, instead known: Entry, _ shipment: Shipment) throws(SystemFailure) {
        guard !entry.matches(known, owners: owners) else { return }
        try state.withLock { state throws(SystemFailure) in
            if side == .origin {
                state.sent[shipment.id] = entry
            } else {
                try state.knowledge.agree(on: Record(entry: entry, inode: 0, changed: 0), at: shipment.path)
                state.doubtful.insert(shipment.path.parent)
            }
        }
    }
}
