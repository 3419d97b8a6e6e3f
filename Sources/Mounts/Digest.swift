internal import Crypto
internal import NIOCore

/// A SHA-256 without a heap allocation of its own: there is one for each file of a tree.
struct Digest: Sendable, Hashable {
    static let byteCount = 32
    static let zero = Digest(words: (0, 0, 0, 0))

    private(set) var words: (UInt64, UInt64, UInt64, UInt64)

    init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

    init(of bytes: some Sequence<UInt8>) {
        var hasher = ContentHasher()
        hasher.update(Array(bytes))
        self = hasher.finish()
    }

    init(of bytes: ByteBuffer) {
        var hasher = ContentHasher()
        bytes.withUnsafeReadableBytes { hasher.update($0) }
        self = hasher.finish()
    }

    static func == (a: Digest, b: Digest) -> Bool { a.words == b.words }

    func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// A SHA-256 in the making.
struct ContentHasher {
    private var state = SHA256()

    mutating func update(_ bytes: UnsafeRawBufferPointer) { state.update(bufferPointer: bytes) }
    mutating func update(_ bytes: [UInt8]) { state.update(data: bytes) }

    mutating func finish() -> Digest {
        var digest = Digest.zero
        state.finalize().withUnsafeBytes { bytes in
            digest = Digest(
                words: (
                    bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                    bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                    bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                    bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
                ))
        }
        return digest
    }
}
