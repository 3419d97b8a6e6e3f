import NIOCore

/// Takes a tar archive apart as it comes, in pieces of any size.
///
/// The bytes of all its events, one after the other, are the archive's. Of content nothing is kept; of headers no more than
/// the extended ones before an entry, which are bounded.
struct TarScanner: Sendable {
    enum Event {
        /// A new entry, with its header blocks and those of its extensions.
        case entry(TarEntry, head: ByteBuffer)
        case content(ByteBuffer)
        /// The content is complete; what fills its last block.
        case entryEnd(padding: ByteBuffer)
        /// The mark of the end. What engines write behind it is only filling, and is passed over.
        case end(ByteBuffer)
    }

    private enum State {
        case header
        case content(left: Int64, padding: Int)
        case padding(Int)
        case ended
    }

    /// Of the extended headers before one entry together.
    static let extensionLimit = 1 << 20

    private var state = State.header
    /// Extended headers that belong to the next entry, as they came.
    private var extensions = ByteBuffer()
    private var longName: String?
    private var records: [UInt8] = []

    var hasEnded: Bool { if case .ended = state { true } else { false } }

    /// The next event; nil when more bytes are needed. What is left of `input` then is less than a header with its extension.
    mutating func next(_ input: inout ByteBuffer) throws(ImageError) -> Event? {
        switch state {
        case .header: return try header(&input)
        case .content(let left, let padding):
            let length = Int(min(left, Int64(input.readableBytes)))
            if length == 0, left > 0 { return nil }
            guard left > 0, let slice = input.readSlice(length: length) else {
                state = .padding(padding)
                return try next(&input)
            }
            state = .content(left: left - Int64(length), padding: padding)
            return .content(slice)
        case .padding(let length):
            guard let slice = input.readSlice(length: length) else { return nil }
            state = .header
            return .entryEnd(padding: slice)
        case .ended:
            input.clear()
            return nil
        }
    }

    /// Passes over so many bytes of the content of the entry that has just begun, which come from elsewhere.
    mutating func skip(_ count: Int64) {
        guard case .content(let left, let padding) = state, count <= left else { return }
        state = .content(left: left - count, padding: padding)
    }

    private mutating func header(_ input: inout ByteBuffer) throws(ImageError) -> Event? {
        while true {
            guard let view = input.viewBytes(at: input.readerIndex, length: TarEntry.blockSize) else { return nil }
            if view.allSatisfy({ $0 == 0 }) { return try end(&input) }
            var entry = try TarEntry(view)
            switch entry.kind {
            case .longName, .longLink, .records:
                guard try take(extension: entry, &input) else { return nil }
            case .file, .bare, .globalRecords:
                try entry.apply(records: records)
                if let longName { entry.name = longName }
                guard let block = input.readSlice(length: TarEntry.blockSize) else { return nil }
                let head = extensions.readableBytes == 0 ? block : extensions + block
                extensions = ByteBuffer()
                longName = nil
                records = []
                state = .content(left: entry.size, padding: entry.padding)
                return .entry(entry, head: head)
            }
        }
    }

    /// - Returns: false while it is not wholly there.
    private mutating func take(extension entry: TarEntry, _ input: inout ByteBuffer) throws(ImageError) -> Bool {
        let known = extensions.readableBytes + TarEntry.blockSize + entry.padding
        guard entry.size <= Int64(Self.extensionLimit - known) else {
            throw .malformed("a name or extended header is longer than \(Self.extensionLimit) bytes")
        }
        let size = Int(entry.size)
        guard let whole = input.readSlice(length: TarEntry.blockSize + size + entry.padding) else { return false }
        let content = whole.readableBytesView.dropFirst(TarEntry.blockSize).prefix(size)
        switch entry.kind {
        case .longName: longName = TarEntry.text(content)
        case .records: records = Array(content)
        default: break
        }
        extensions.writeImmutableBuffer(whole)
        return true
    }

    /// One block of zeros is followed by a second; some writers leave that out.
    private mutating func end(_ input: inout ByteBuffer) throws(ImageError) -> Event? {
        guard extensions.readableBytes == 0 else { throw .malformed("an extended header without its entry") }
        guard let block = input.readSlice(length: TarEntry.blockSize) else { return nil }
        state = .ended
        input.clear()
        return .end(block + ByteBuffer(repeating: 0, count: TarEntry.blockSize))
    }
}

extension ByteBuffer {
    static func + (left: ByteBuffer, right: ByteBuffer) -> ByteBuffer {
        var sum = left
        sum.writeImmutableBuffer(right)
        return sum
    }
}
