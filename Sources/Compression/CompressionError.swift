/// Why a stream cannot be compressed or decompressed.
package struct CompressionError: Error, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// Compressed data that cannot be decompressed.
        case malformed
        /// zstd has no memory, or does not work as it should.
        case failed
    }

    package let code: Code
    /// What happened and what to do.
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
