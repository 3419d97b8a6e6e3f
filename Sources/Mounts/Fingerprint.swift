/// A short digest of what is at a path, or of many paths together in any order.
struct Fingerprint: Sendable, Hashable {
    static let zero = Fingerprint(high: 0, low: 0)
    /// Of a path where there is nothing.
    static let absence: UInt64 = 0

    var high: UInt64
    var low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    init(_ path: TreePath, _ entry: Entry, owners: Bool) {
        var bytes: [UInt8] = path.bytes + [0]
        entry.comparable(owners: owners).append(to: &bytes)
        let words = Digest(of: bytes).words
        self.init(high: words.0, low: words.1)
    }

    static func of(_ path: TreePath, _ entry: Entry?, owners: Bool) -> UInt64 {
        entry.map { max(1, Fingerprint(path, $0, owners: owners).high) } ?? absence
    }

    mutating func add(_ other: Fingerprint) {
        high &+= other.high
        low &+= other.low
    }
}

/// Digests of a tree in buckets of paths: where two trees' buckets are equal, nothing of them has to be told.
struct Buckets: Sendable {
    let digests: [Fingerprint]

    /// - Parameter count: A number that both sides use; see `count(for:)`.
    init(_ tree: PathTable<Record>, count: Int, owners: Bool) throws(SystemFailure) {
        var digests = [Fingerprint](repeating: .zero, count: count)
        try tree.forEach { path, record in
            guard let record else { return }
            digests[Self.bucket(of: path, count: count)].add(Fingerprint(path, record.entry, owners: owners))
        }
        self.digests = digests
    }

    /// About a hundred paths a bucket.
    static func count(for paths: Int) -> Int { min(Message.bucketLimit, max(1, paths / 100)) }

    /// FNV-1a: the same at both sides, unlike Swift's own hashes.
    static func bucket(of path: TreePath, count: Int) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in path.bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Int(hash % UInt64(count))
    }
}
