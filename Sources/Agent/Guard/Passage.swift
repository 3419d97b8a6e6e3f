import DockerAPI
import Engine
import Fleet
import Images
import NIOCore

/// What goes to the engine for an admitted request, and what may come of it.
struct Passage {
    enum Body {
        case none
        /// Rebuilt by the guard; the head has its length.
        case bytes(ByteBuffer)
        /// The caller's own bytes, at most so many.
        case streamed(limit: Int64)
        /// The caller's bytes decompressed, at most so many of them; sent chunked.
        case decompressed(any StreamDecoder, limit: Int64)
    }

    var head: RequestHead
    var body = Body.none
    /// Whether the answer may turn the connection into a raw pipe.
    var hijacks = false
    /// Called with the last line of a successful answer; all but streams of progress are one line.
    var answered: (@NodeLoop (JSON) -> Void)?
    /// Called with the last lines of a successful answer, as many as fit into 64 KiB.
    var heard: (@NodeLoop ([JSON]) -> Void)?
    /// Called when the engine's answer is complete, whatever it says.
    var concluded: (@NodeLoop () -> Void)?
    /// Turns each JSON document of a streamed answer into what the caller sees of it; nil for nothing.
    var rewrite: (@NodeLoop (ByteBuffer) -> ByteBuffer?)?
    /// What has to be waited for once the body begins.
    var beforeRewriting: (@NodeLoop @Sendable () async -> Void)?
    /// How what follows a change of protocol is packed; nil where the caller did not offer it.
    var packing: SessionPacking?
    /// Packs what is left of a rewritten answer; nil where the caller did not offer it.
    var tracePacker: TracePacker?
    /// Called once when the exchange is over, whatever became of it.
    var ended: (@NodeLoop () -> Void)?

    /// Whether the guard has to look into the answer.
    var isTapped: Bool { answered != nil || heard != nil || rewrite != nil }
}

extension Passage {
    /// The caller's head for another target, without what does not concern an engine that gets `body` instead.
    static func head(
        _ head: RequestHead, version: String?, path: String, query: Query, keepsBody: Bool = false,
        length: Int? = nil, keepsUpgrade: Bool = false
    ) throws(DockerFailure) -> RequestHead {
        let target = query.target((version.map { "/v\($0)" } ?? "") + path)
        do throws(HTTPError) {
            var result = try head.withTarget(target)
            if !keepsBody {
                for name in ["Content-Length", "Transfer-Encoding", "Expect", "Trailer"]
                where result.headers.contains(name) {
                    result = try result.removing(name)
                }
                if let length { result = try result.withHeader("Content-Length", String(length)) }
            }
            if result.headers.contains("Upgrade"), !keepsUpgrade || !["tcp", "websocket"].contains(head.upgrade) {
                result = try result.removing("Upgrade").removing("Connection").removing("HTTP2-Settings")
                if !head.keepAlive { result = try result.withHeader("Connection", "close") }
            }
            return result
        } catch {
            throw DockerFailure(error)
        }
    }
}
