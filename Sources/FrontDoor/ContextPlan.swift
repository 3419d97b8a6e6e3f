internal import Compression
internal import Engine
internal import Images
internal import Mounts
internal import NIOCore

/// How a build's context travels: by the chunks that the other node does not have from an earlier build.
struct ContextPlan: Sendable {
    private struct Chunk: Sendable {
        var digest: LayerDigest
        var size: Int
    }

    /// A context of so few bytes is not worth a question.
    private static let least: Int64 = 128 << 10

    private let spool: Spool
    private let length: Int64
    /// Empty where the context goes whole.
    private let chunks: [Chunk]
    private let missing: Set<LayerDigest>

    /// - Parameter ask: which of the chunks the node lacks; nil where it does not keep any.
    @NodeLoop
    static func make(
        _ spool: Spool, _ length: Int64, ask: ([LayerDigest]) async -> Set<LayerDigest>?
    ) async throws -> ContextPlan {
        let whole = ContextPlan(spool: spool, length: length, chunks: [], missing: [])
        guard length >= least else { return whole }
        let chunks = try await cut(spool, length)
        let digests = Array(Set(chunks.map(\.digest)))
        guard let missing = await ask(digests) else { return whole }
        return ContextPlan(spool: spool, length: length, chunks: chunks, missing: missing)
    }

    private static func cut(_ spool: Spool, _ length: Int64) async throws -> [Chunk] {
        var chunker = Chunker(mean: ContextFrame.mean)
        var chunks: [Chunk] = []
        var current = ByteBuffer()
        var offset: Int64 = 0
        while var piece = try await spool.piece(at: offset, to: length) {
            offset += Int64(piece.readableBytes)
            while piece.readableBytes > 0 {
                let end = piece.withUnsafeReadableBytes { chunker.cut($0) }
                current.writeImmutableBuffer(piece.readSlice(length: end ?? piece.readableBytes) ?? ByteBuffer())
                guard end != nil else { continue }
                chunks.append(Chunk(digest: ContextFrame.digest(of: current), size: current.readableBytes))
                current.clear()
            }
        }
        if current.readableBytes > 0 {
            chunks.append(Chunk(digest: ContextFrame.digest(of: current), size: current.readableBytes))
        }
        return chunks
    }

    /// Bytes of the context that leave this device.
    var fresh: Int64 {
        if chunks.isEmpty { return length }
        var seen: Set<LayerDigest> = []
        return chunks.reduce(0) { sum, chunk in
            missing.contains(chunk.digest) && seen.insert(chunk.digest).inserted ? sum + Int64(chunk.size) : sum
        }
    }

    var headers: [(String, String)] {
        [("Content-Type", "application/x-tar"), ("Content-Encoding", "zstd")]
            + (chunks.isEmpty ? [] : [("X-Lighter-Context", "chunks")])
    }

    /// The context with another end.
    func body(ending: ByteBuffer) -> RequestBody {
        chunks.isEmpty
            ? whole(ending)
            : .producing { write in
                let compressor = try ZstdCompressor()
                var missing = missing
                var offset: Int64 = 0
                for chunk in chunks {
                    let end = offset + Int64(chunk.size)
                    let frame =
                        missing.remove(chunk.digest) == nil
                        ? ContextFrame.known(chunk.digest) : ContextFrame.fresh(try await read(offset, end))
                    try await write(compressor.compress(frame))
                    offset = end
                }
                var rest = ending
                while let piece = rest.readSlice(length: min(ContextFrame.mean, rest.readableBytes)),
                    piece.readableBytes > 0
                {
                    try await write(compressor.compress(ContextFrame.passing(piece)))
                }
                try await write(compressor.finish())
            }
    }

    private func whole(_ ending: ByteBuffer) -> RequestBody {
        .producing { write in
            let compressor = try ZstdCompressor()
            var offset: Int64 = 0
            while let piece = try await spool.piece(at: offset, to: length) {
                offset += Int64(piece.readableBytes)
                try await write(compressor.compress(piece))
            }
            try await write(compressor.compress(ending))
            try await write(compressor.finish())
        }
    }

    private func read(_ start: Int64, _ end: Int64) async throws -> ByteBuffer {
        var bytes = ByteBuffer()
        while let piece = try await spool.piece(at: start + Int64(bytes.readableBytes), to: end) {
            bytes.writeImmutableBuffer(piece)
        }
        return bytes
    }
}
