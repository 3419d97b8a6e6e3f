internal import Compression
internal import NIOCore

/// Compresses a session's stream with the effort that its link is worth; each change of that begins a new frame of zstd's.
struct EagerCompressor {
    private var effort = Effort()
    private var level: Effort.Level
    private var compressor: ZstdCompressor

    init() throws(CompressionError) {
        level = effort.level
        compressor = try Self.compressor(level)
    }

    /// At either side a mount that is open holds some 1.5 MiB for this; while a tree travels the device holds four to eight, its
    /// node two.
    private static func compressor(_ level: Effort.Level) throws(CompressionError) -> ZstdCompressor {
        switch level {
        case .edits: try ZstdCompressor(level: 3, windowLog: 19)
        case .tree: try ZstdCompressor(level: 4, windowLog: 21)
        case .thorough: try ZstdCompressor(level: 6, windowLog: 21, tableLog: 19)
        }
    }

    /// All that was given so far can be read at the other end.
    mutating func flush(_ bytes: ByteBuffer) throws(CompressionError) -> ByteBuffer {
        guard level != effort.level else { return try compressor.flush(bytes) }
        var output = try compressor.finish()
        level = effort.level
        compressor = try Self.compressor(level)
        output.writeImmutableBuffer(try compressor.flush(bytes))
        return output
    }

    /// Takes in what a piece cost.
    mutating func note(_ size: Int, compressing: Duration, sending: Duration) {
        effort.note(size, compressing: compressing, sending: sending)
    }
}
