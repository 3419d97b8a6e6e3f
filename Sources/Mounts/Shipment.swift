/// Something that a side has to send for one path.
struct Shipment: Sendable {
    enum Kind: Sendable, Hashable {
        case remove
        case rename([UInt8])
        /// What is at the path, in full.
        /// - comparesChunks: Whether the receiver has an old version of the file.
        case content(comparesChunks: Bool, allowsTwin: Bool)
        /// Only what is not content.
        case metadata
        /// A folder's metadata once more, after what is in it has been written.
        case finalFolder
    }

    let id: UInt32
    let path: TreePath
    /// The fingerprint of what is at the receiver.
    let expected: UInt64
    let kind: Kind
}
