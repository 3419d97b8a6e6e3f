internal import NIOCore

extension Entry {
    static let byteCount = 67

    /// The form in which entries are hashed, sent and kept: fixed size, big-endian.
    func append(to bytes: inout [UInt8]) {
        func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.bigEndian) { bytes += $0 } }
        bytes.append(kind.rawValue)
        append(mode)
        append(owner)
        append(group)
        append(modified)
        append(size)
        for word in [digest.words.0, digest.words.1, digest.words.2, digest.words.3] { append(word) }
        append(attributes)
    }

    /// Nil where the bytes are no entry.
    init?(from buffer: inout ByteBuffer) {
        guard buffer.readableBytes >= Self.byteCount, let kind = buffer.readInteger(as: UInt8.self).flatMap(Kind.init),
            let (mode, owner, group) = buffer.readMultipleIntegers(as: (UInt16, UInt32, UInt32).self),
            let (modified, size) = buffer.readMultipleIntegers(as: (Int64, Int64).self),
            let words = buffer.readMultipleIntegers(as: (UInt64, UInt64, UInt64, UInt64).self),
            let attributes = buffer.readInteger(as: UInt64.self), mode <= 0o7777, size >= 0
        else { return nil }
        self.init(
            kind: kind, mode: mode, owner: owner, group: group, modified: modified, size: size,
            digest: Digest(words: words), attributes: attributes)
    }
}
