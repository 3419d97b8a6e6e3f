import CZstd
package import NIOCore

/// Compresses a stream with zstd, at the level that costs least: it must keep pace with a link on a small device.
package final class ZstdCompressor {
    private static let level: Int32 = 1

    private let context: OpaquePointer

    package init() throws(ImageError) {
        guard let context = ZSTD_createCCtx() else {
            throw ImageError(.compression, "no memory for compressing; free some, or stop other work on this device")
        }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Self.level)
    }

    deinit { ZSTD_freeCCtx(context) }

    /// What can be sent after this piece: nothing where zstd still gathers.
    package func compress(_ piece: ByteBuffer) throws(ImageError) -> ByteBuffer { try run(piece, ZSTD_e_continue) }

    /// The rest. Nothing may follow.
    package func finish() throws(ImageError) -> ByteBuffer { try run(ByteBuffer(), ZSTD_e_end) }

    private func run(_ piece: ByteBuffer, _ directive: ZSTD_EndDirective) throws(ImageError) -> ByteBuffer {
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
                throw ImageError(.compression, "zstd: \(String(cString: ZSTD_getErrorName(left)))")
            }
        } while consumed < piece.readableBytes || (directive == ZSTD_e_end && left > 0)
        return output
    }
}
