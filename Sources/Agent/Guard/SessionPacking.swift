import DockerAPI
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

    /// Asked for before the caller is told that its stream is packed.
    @NodeLoop
    func handler() throws(HTTPError) -> PackedStreamHandler {
        do throws(ImageError) {
            return try PackedStreamHandler(.agreeing, pulls: true, memory: memory, ended: ended)
        } catch {
            throw HTTPError(status: 502, message: error.message)
        }
    }
}
