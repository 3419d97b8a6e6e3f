import CZstd
package import NIOCore

/// Decompresses a zstd stream of a peer, which may be hostile: in bounded memory, and no faster than it is asked to.
package final class ZstdDecompressor {
    /// As a power of two: the most memory that a stream may ask for, which is 8 MiB. The compressor asks for less.
    private static let windowLog: Int32 = 23
    private static let pieceSize = 128 << 10

    private let context: OpaquePointer
    /// Kept for as long as zstd looks into it.
    private let prefix: ZstdPrefix?
    private var input = ByteBuffer()
    /// Whether zstd may have more to say without more input: the last piece was a full one.
    private var hasMore = false
    /// Whether the stream may end here.
    package private(set) var isComplete = false

    /// - Parameter prefix: what the compressor was given.
    package init(prefix: ZstdPrefix? = nil) throws(CompressionError) {
        guard let context = ZSTD_createDCtx() else {
            throw CompressionError(.failed, "no memory for decompressing; free some, or stop other work on this node")
        }
        self.context = context
        self.prefix = prefix
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.windowLog)
        if let prefix { ZSTD_DCtx_refPrefix(context, prefix.bytes.baseAddress, prefix.bytes.count) }
    }

    deinit { ZSTD_freeDCtx(context) }

    /// Takes more of the stream, once `next` has returned nil.
    package func add(_ piece: ByteBuffer) {
        if input.readableBytes == 0 { input = piece } else { input.writeImmutableBuffer(piece) }
    }

    /// At most 128 KiB of what comes out; nil when more has to go in.
    package func next() throws(CompressionError) -> ByteBuffer? {
        while input.readableBytes > 0 || hasMore {
            var output = ByteBuffer()
            var code = 0
            var consumed = 0
            var isFull = false
            input.withUnsafeReadableBytes { source in
                var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.pieceSize) { space in
                    var target = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
                    code = ZSTD_decompressStream(context, &target, &input)
                    isFull = target.pos == target.size
                    return target.pos
                }
                consumed = input.pos
            }
            guard ZSTD_isError(code) == 0 else {
                throw CompressionError(
                    .malformed, "the zstd stream is damaged: \(String(cString: ZSTD_getErrorName(code)))")
            }
            input.moveReaderIndex(forwardBy: consumed)
            isComplete = code == 0
            // Asked again at a frame's end, zstd would wait for another frame.
            hasMore = isFull && !isComplete
            if output.readableBytes > 0 { return output }
        }
        return nil
    }
}
