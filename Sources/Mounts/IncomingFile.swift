internal import NIOCore

/// A file that arrives in pieces, and the old version that chunks are taken from.
struct IncomingFile {
    let path: TreePath
    let expected: UInt64
    let entry: Entry
    let attributes: ExtendedAttributes
    let staged: StagedFile
    /// Nil where the content comes as a whole.
    private var old: Descriptor?
    private var chunks: [Digest: (offset: Int64, length: Int)] = [:]
    /// How far chunks have been told of.
    private var announced: Int64 = 0

    init(
        _ operation: Message.Operation, entry: Entry, attributes: ExtendedAttributes, expected: UInt64,
        staged: StagedFile
    ) {
        path = operation.path
        self.entry = entry
        self.attributes = attributes
        self.expected = expected
        self.staged = staged
    }

    /// Cuts the old version as the sender cuts the new one.
    mutating func compare(with file: Descriptor, stop: StopFlag) throws(SystemFailure) {
        var reader = FileChunks(of: file, end: try file.status().size, mean: Chunker.mean(forSize: entry.size))
        while !stop.isSet, let chunk = try reader.next() {
            if !chunk.isZero { chunks[chunk.digest] = (chunk.offset, chunk.length) }
        }
        old = file
    }

    /// Takes from the old version what it has of these chunks.
    /// - Returns: One flag for each: 1 for those that have to travel.
    mutating func take(_ marks: [Message.ChunkMark]) throws(SystemFailure) -> [UInt8] {
        var flags: [UInt8] = []
        let greatest = Chunker.mean(forSize: entry.size) * 4
        for mark in marks {
            guard (1...greatest).contains(Int(mark.length)), announced + Int64(mark.length) <= entry.size else {
                throw .impossible
            }
            let offset = announced
            announced += Int64(mark.length)
            if mark.isZero {
                flags.append(0)
            } else if let old, let found = chunks[mark.digest], found.length == Int(mark.length) {
                try copy(found.length, of: old, from: found.offset, to: offset)
                flags.append(0)
            } else {
                flags.append(1)
            }
        }
        return flags
    }

    private func copy(_ length: Int, of old: Descriptor, from: Int64, to: Int64) throws(SystemFailure) {
        var buffer = [UInt8](repeating: 0, count: min(length, Message.pieceLimit))
        var done = 0
        while done < length {
            let count = try old.read(into: &buffer, count: min(buffer.count, length - done), at: from + Int64(done))
            // The old version became shorter; the digest of the whole will tell.
            guard count > 0 else { return }
            try staged.write(buffer[..<count], at: to + Int64(done))
            done += count
        }
    }

    func write(_ bytes: ByteBuffer, at offset: Int64) throws(SystemFailure) {
        try checkRange(offset, Int64(bytes.readableBytes))
        try staged.write(bytes, at: offset)
    }

    func skip(_ length: Int64, at offset: Int64) throws(SystemFailure) {
        try checkRange(offset, length)
        // So that a few bytes of a hostile peer cannot cost hours of hashing.
        guard length <= Message.holeLimit else { throw .impossible }
        staged.skip(length, at: offset)
    }

    private func checkRange(_ offset: Int64, _ length: Int64) throws(SystemFailure) {
        guard offset <= entry.size, length <= entry.size - offset else { throw .impossible }
    }
}
