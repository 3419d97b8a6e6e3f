internal import Compression

/// What can be wrong with an image's archive.
package struct ImageError: Error, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// Not a tar archive as engines write them, or one that was cut short.
        case malformedArchive
        /// A file's bytes are not what its digest says.
        case damagedFile
        /// Compressed data that cannot be decompressed.
        case malformedCompression
        /// There is no memory for decompressing.
        case compression
        /// The disk is too full for it.
        case noRoom
    }

    package let code: Code
    /// What happened and what to do.
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    init(_ error: CompressionError) {
        self.init(error.code == .malformed ? .malformedCompression : .compression, error.message)
    }

    static func malformed(_ what: String) -> ImageError {
        ImageError(.malformedArchive, "the image's archive is damaged: \(what)")
    }

    static func damaged(_ path: String, _ found: LayerDigest) -> ImageError {
        ImageError(
            .damagedFile,
            "the image is damaged on its device: \(path) has the digest \(found); remove the image and get it again")
    }
}
