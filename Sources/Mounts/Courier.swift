internal import NIOCore

/// Reads and sends what shipments carry, in order; files that are compared chunk by chunk travel beside the others.
final class Courier: Sendable {
    /// A peer that lets more than this be waiting asks for more than it takes.
    private static let limit = 16 << 10
    private static let filesAtOnce = 8

    private let replica: Replica
    private let outbox: Outbox
    private let inbox: Inbox
    private let work: FileWork
    private let replies: Replies
    private let queue = ShipmentQueue()

    init(replica: Replica, outbox: Outbox, inbox: Inbox, replies: Replies, work: FileWork) {
        self.replica = replica
        self.outbox = outbox
        self.inbox = inbox
        self.replies = replies
        self.work = work
    }

    func ship(_ shipment: Shipment) { queue.append(shipment) }

    /// Ships what a peer asked for.
    func ship(asked shipment: Shipment) throws(MountError) {
        guard queue.count < Self.limit else {
            throw .violation("the mount's other side asks for too much at once")
        }
        ship(shipment)
    }

    /// Lets `run` end; what is waiting is not sent.
    func close() { queue.close() }

    func run() async throws(MountError) {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                var running = 0
                while case let batch = await queue.next(), !batch.isEmpty {
                    var rest = batch[...]
                    while !rest.isEmpty {
                        let isQuiet = running == 0
                        let load = try await work.run { [replica, rest] () throws(MountError) in
                            try replica.load(rest, isQuiet: isQuiet)
                        }
                        rest = rest.dropFirst(load.count)
                        for id in load.unsent { inbox.push(.unsent(id)) }
                        try await outbox.send(load.messages)
                        while load.waits, running > 0, try await group.next() != nil { running -= 1 }
                        guard let file = load.file else { continue }
                        if file.comparesChunks {
                            if running >= Self.filesAtOnce, try await group.next() != nil { running -= 1 }
                            group.addTask { try await self.compare(file) }
                            running += 1
                        } else {
                            try await stream(file)
                        }
                    }
                }
                try await group.waitForAll()
            }
        } catch let error as MountError {
            throw error
        } catch {
            throw MountError(.stopped, "the mount has been ended", cause: error)
        }
    }

    private func begin(_ file: Replica.LargeFile) async throws(MountError) {
        let shipment = file.shipment
        let action = Message.Action.begin(file.entry, file.attributes, comparesChunks: file.comparesChunks)
        let operation = Message.Operation(
            id: shipment.id, path: shipment.path, expected: shipment.expected, action: action)
        try await outbox.send(.place(operation))
    }

    private func finish(_ file: Replica.LargeFile, digest: Digest, size: Int64) async throws(MountError) {
        var entry = file.entry
        (entry.digest, entry.size) = (digest, size)
        try replica.withStore { () throws(SystemFailure) in
            try replica.noteSent(entry, instead: file.entry, file.shipment)
        }
        try await outbox.send(.commit(file.shipment.id, entry))
    }

    /// Ends a file that cannot be read to its end.
    private func giveUp(_ file: Replica.LargeFile) async throws(MountError) {
        try await outbox.send(.abort(file.shipment.id))
        inbox.push(.unsent(file.shipment.id))
    }

    private func stream(_ file: Replica.LargeFile) async throws(MountError) {
        try await begin(file)
        var hasher = ContentHasher()
        var offset: Int64 = 0
        while offset < file.entry.size {
            guard let bytes = await read(file, at: offset, count: file.entry.size - offset) else {
                return try await giveUp(file)
            }
            if bytes.readableBytes == 0 { break }
            let isZero = bytes.withUnsafeReadableBytes { bytes in
                hasher.update(bytes)
                return bytes.isAllZero
            }
            let length = Int64(bytes.readableBytes)
            try await outbox.send(
                isZero
                    ? .hole(file.shipment.id, offset: offset, length: length)
                    : .data(file.shipment.id, offset: offset, bytes))
            offset += length
        }
        try await finish(file, digest: hasher.finish(), size: offset)
    }

    private func compare(_ file: Replica.LargeFile) async throws(MountError) {
        let id = file.shipment.id
        replies.open(id)
        defer { replies.close(id) }
        try await begin(file)
        let mean = Chunker.mean(forSize: file.entry.size)
        var reader = FileChunks(of: file.file, end: file.entry.size, mean: mean)
        while true {
            guard let (next, chunks) = await cut(reader) else { return try await giveUp(file) }
            reader = next
            if chunks.isEmpty { break }
            let marks = chunks.map {
                Message.ChunkMark(digest: $0.digest, length: UInt32($0.length), isZero: $0.isZero)
            }
            try await outbox.send(.chunks(id, marks))
            let flags = await replies.next(for: id)
            // It was refused; that has been told already.
            guard flags.count == chunks.count else { return }
            for (chunk, flag) in zip(chunks, flags) where flag != 0 {
                guard try await send(chunk, of: file) else { return try await giveUp(file) }
            }
        }
        var content = reader.content
        try await finish(file, digest: content.finish(), size: reader.position)
    }

    /// The next chunks of a file; nil where it cannot be read.
    private func cut(_ reader: FileChunks) async -> (FileChunks, [Chunk])? {
        let stop = replica.stop
        return try? await work.run { () throws(MountError) in
            var reader = reader
            var chunks: [Chunk] = []
            do throws(SystemFailure) {
                while chunks.count < Message.chunkLimit, !stop.isSet, let chunk = try reader.next() {
                    chunks.append(chunk)
                }
            } catch {
                throw MountError(.file, "a file cannot be read: \(error)", cause: error)
            }
            return (reader, chunks)
        }
    }

    /// - Returns: False where the file cannot be read any more.
    private func send(_ chunk: Chunk, of file: Replica.LargeFile) async throws(MountError) -> Bool {
        var offset = chunk.offset
        let end = chunk.offset + Int64(chunk.length)
        while offset < end {
            guard let bytes = await read(file, at: offset, count: end - offset), bytes.readableBytes > 0 else {
                return false
            }
            try await outbox.send(.data(file.shipment.id, offset: offset, bytes))
            offset += Int64(bytes.readableBytes)
        }
        return true
    }

    /// At most one message's content; nil where it cannot be read.
    private func read(_ file: Replica.LargeFile, at offset: Int64, count: Int64) async -> ByteBuffer? {
        let count = Int(min(count, Int64(Message.pieceLimit)))
        return try? await work.run { () throws(MountError) in
            var buffer = ByteBuffer()
            var result = 0
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { bytes in
                result = file.file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count]), at: offset)
                return max(0, result)
            }
            guard result >= 0 else { throw MountError(.file, "a file cannot be read") }
            return buffer
        }
    }
}
