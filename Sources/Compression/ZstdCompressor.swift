import CZstd
package import NIOCore

/// Compresses a stream with zstd.
package final class ZstdCompressor {
    private let context: OpaquePointer
    /// Kept for as long as zstd looks into it.
    private let prefix: ZstdPrefix?

    /// - Parameters:
    ///   - level: The first costs least: it keeps pace with a fast link on a small device.
    ///   - windowLog: As a power of two, in bytes: how far back repetitions are found; most of the memory is for that.
    ///     Nil leaves it to zstd.
    ///   - tableLog: The same for what finds them: memory, more than the window's at a high level. Nil leaves it to zstd.
    ///   - prefix: what the other end has, too; the window has to hold it.
    package init(
        level: Int32 = 1, windowLog: Int32? = nil, tableLog: Int32? = nil, prefix: ZstdPrefix? = nil
    ) throws(CompressionError) {
        guard let context = ZSTD_createCCtx() else {
            throw CompressionError(.failed, "no memory for compressing; free some, or stop other work on this device")
        }
        self.context = context
        self.prefix = prefix
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        if let windowLog { ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog) }
        if let tableLog {
            ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, tableLog)
            ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog, tableLog)
        }
        if let prefix { ZSTD_CCtx_refPrefix(context, prefix.bytes.baseAddress, prefix.bytes.count) }
    }

    deinit { ZSTD_freeCCtx(context) }

    /// What can be sent after this piece: nothing where zstd still gathers.
    package func compress(_ piece: ByteBuffer) throws(CompressionError) -> ByteBuffer {
        try run(piece, ZSTD_e_continue)
    }

    /// The same, and all of it: what was given so far can be read at the other end.
    package func flush(_ piece: ByteBuffer) throws(CompressionError) -> ByteBuffer { try run(piece, ZSTD_e_flush) }

    /// The rest. Nothing may follow.
    package func finish() throws(CompressionError) -> ByteBuffer { try run(ByteBuffer(), ZSTD_e_end) }

    private func run(_ piece: ByteBuffer, _ directive: ZSTD_EndDirective) throws(CompressionError) -> ByteBuffer {
        var output = ByteBuffer()
        var left = 0
        var consumed = 0
        repeat {
            piece.withUnsafeReadableBytes { source in
                var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: consumed)
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: ZSTD_CStreamOutSize()) { space in
                    var target = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
                    left = ZSTD_compressStream2(context, &target, &input, directive)
                    return target.pos
                }
                consumed = input.pos
            }
            guard ZSTD_isError(left) == 0 else {
                throw CompressionError(.failed, "zstd: \(String(cString: ZSTD_getErrorName(left)))")
            }
        } while consumed < piece.readableBytes || (directive != ZSTD_e_continue && left > 0)
        return output
    }
}
