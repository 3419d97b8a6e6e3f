internal import NIOCore

/// What the two sides of a mount say to each other.
enum Message: Sendable, Hashable {
    static let version: UInt8 = 2
    /// The most that one message may be; what is larger is cut into several.
    static let limit = 256 << 10
    /// The most content in one message.
    static let pieceLimit = 128 << 10
    /// The longest hole in one message.
    static let holeLimit: Int64 = 16 << 20
    /// The most files that arrive in pieces at once.
    static let arrivalLimit = 64
    /// The most chunks that one message tells of.
    static let chunkLimit = 256
    /// The most buckets that a tree is compared in.
    static let bucketLimit = 1024

    /// The first message both ways. Where both sides wish it, everything after it is one zstd stream each way.
    case hello(Hello)
    /// The origin's ignore rules, whenever they change.
    case rules([UInt8])
    /// The target's tree, as one digest for each bucket of paths. A mirror that is made anew has another name.
    case buckets(mirror: Fingerprint, [Fingerprint])
    /// The buckets that the origin needs in full.
    case list(Set<UInt16>)
    /// What is at the target: in full for listed buckets, changes otherwise. Nil: it is gone.
    case entries([Listed])
    /// Everything has been told: up to the probe of this number, or as `Told` says.
    case listed(UInt32)
    /// Asks the target to look through its tree and tell what changed.
    case probe(UInt32)
    /// Something to be done at the receiver's side.
    case place(Operation)
    /// The next chunks of a file that the receiver has an old version of.
    case chunks(UInt32, [ChunkMark])
    /// The answer: one byte for each chunk, 1 for those that have to travel.
    case needs(UInt32, [UInt8])
    case data(UInt32, offset: Int64, ByteBuffer)
    case hole(UInt32, offset: Int64, length: Int64)
    /// The file is complete and is this.
    case commit(UInt32, Entry)
    /// The file cannot be completed, or not be sent at all.
    case abort(UInt32)
    /// How an operation went.
    case done(UInt32, Outcome)
    /// The origin wants what the target has at a path.
    case want(Want)
    /// Nothing is under way; a good time to write the index.
    case settled
}

extension Message {
    /// What a `listed` without a probe means.
    enum Told {
        static let changes: UInt32 = 0
        static let buckets: UInt32 = .max
    }

    struct Hello: Sendable, Hashable {
        var side: MountSide
        var isFile: Bool
        /// Whether owners can be set.
        var isPrivileged: Bool
        /// Whether what follows may be compressed.
        var compresses: Bool
    }

    struct Listed: Sendable, Hashable {
        var path: TreePath
        var entry: Entry?
    }

    struct ChunkMark: Sendable, Hashable {
        var digest: Digest
        var length: UInt32
        var isZero: Bool
    }

    struct Want: Sendable, Hashable {
        var id: UInt32
        var path: TreePath
        /// Whether the origin has an old version of a file to take chunks from.
        var comparesChunks: Bool
        /// Whether another name of the same file may be answered instead of content.
        var allowsTwin: Bool
    }

    struct Operation: Sendable, Hashable {
        var id: UInt32
        var path: TreePath
        /// The fingerprint of what the sender takes to be at the receiver; anything else refuses the operation.
        var expected: UInt64
        var action: Action
    }

    enum Action: Sendable, Hashable {
        case remove
        /// To another name in the same folder.
        case rename([UInt8])
        /// Makes the folder, or gives it this metadata.
        case folder(Entry, ExtendedAttributes)
        case link(Entry, text: [UInt8])
        /// Another name of the file at `path`, which the receiver has.
        case twin(Entry, path: TreePath)
        /// Metadata only.
        case settle(Entry, ExtendedAttributes)
        /// A small file as a whole.
        case file(Entry, ExtendedAttributes, ByteBuffer)
        /// A file whose content follows: chunks to compare when there is an old version, otherwise data from its start.
        case begin(Entry, ExtendedAttributes, comparesChunks: Bool)
    }

    enum Outcome: Sendable, Hashable {
        case applied
        /// The receiver has something else than expected there; it will be told.
        case changed
        /// A folder stays because of ignored files in it.
        case kept
        case failed(String)
    }
}
