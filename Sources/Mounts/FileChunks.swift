/// A chunk of a file.
struct Chunk: Sendable, Hashable {
    let offset: Int64
    let length: Int
    let digest: Digest
    /// Whether it is nothing but zeros: it need not travel, nor take room on a disk.
    let isZero: Bool
}

/// The chunks of an open file, read one after the other in little memory.
struct FileChunks {
    private static let window = 128 << 10

    private let file: Descriptor
    private let end: Int64
    private var chunker: Chunker
    private var buffer = [UInt8](repeating: 0, count: window)
    /// What of the buffer has been read and not yet cut.
    private var unused = 0..<0
    private(set) var position: Int64 = 0
    /// Of everything that was read so far.
    private(set) var content = ContentHasher()

    /// - Parameter end: Where the file ends for this purpose, also when it grows meanwhile.
    init(of file: Descriptor, end: Int64, mean: Int) {
        self.file = file
        self.end = end
        chunker = Chunker(mean: mean)
    }

    /// Nil at the end, or where the file has become shorter.
    mutating func next() throws(SystemFailure) -> Chunk? {
        let start = position
        var hasher = ContentHasher()
        var isZero = true
        while true {
            if unused.isEmpty { try fill() }
            if unused.isEmpty { break }
            let range = unused
            let (taken, isCut) = buffer.withUnsafeBytes { all in
                let bytes = UnsafeRawBufferPointer(rebasing: all[range])
                let cut = chunker.cut(bytes)
                let piece = UnsafeRawBufferPointer(rebasing: bytes[..<(cut ?? bytes.count)])
                hasher.update(piece)
                content.update(piece)
                isZero = isZero && piece.isAllZero
                return (piece.count, cut != nil)
            }
            unused = (range.lowerBound + taken)..<range.upperBound
            position += Int64(taken)
            if isCut { break }
        }
        guard position > start else { return nil }
        return Chunk(offset: start, length: Int(position - start), digest: hasher.finish(), isZero: isZero)
    }

    private mutating func fill() throws(SystemFailure) {
        let wanted = Int(min(Int64(Self.window), end - position))
        guard wanted > 0 else { return }
        let count = try file.read(into: &buffer, count: wanted, at: position)
        unused = 0..<count
    }
}

extension UnsafeRawBufferPointer {
    /// Whether there is nothing but zeros; true for no bytes.
    var isAllZero: Bool {
        var index = 0
        while index + 8 <= count {
            if loadUnaligned(fromByteOffset: index, as: UInt64.self) != 0 { return false }
            index += 8
        }
        return self[index...].allSatisfy { $0 == 0 }
    }
}
