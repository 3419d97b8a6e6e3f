import Engine
import Images
import NIOCore

/// How the session of a caller that offers it is packed.
struct SessionPacking: Sendable {
    /// What the caller remembers, too.
    let memory: ByteBuffer?
    /// Told what is remembered of this session.
    let ended: @Sendable (ByteBuffer) -> Void

    var answer: String { memory == nil ? PackedStream.plain : PackedStream.known }

    /// From here on the caller's stream is packed.
    @NodeLoop
    func begin(on stream: any Channel) throws(ImageError) {
        let handler = try PackedStreamHandler(.agreeing, pulls: true, memory: memory, ended: ended)
        try handler.join(stream, before: ChannelSideHandler.self)
    }
}
