internal import DockerAPI
internal import NIOCore

/// One request that is passed between a client and an engine, and how far it is.
final class Exchange {
    enum Answering {
        /// The head has not come (an interim one may have).
        case head
        case body(BodyReader, keepAlive: Bool)
        /// Both directions are plain bytes until they end.
        case raw
        case done(keepAlive: Bool)
    }

    let request: RequestHead
    let forward: Forward
    let backend: BackendHandler
    /// What of the request's body is still to come from the client.
    var body: BodyReader
    var answering = Answering.head
    /// What the engine sent and is not a whole head yet.
    var held = ByteBuffer()
    var parser = HeadParser<ResponseHead>()
    /// The client was answered early; the engine's own head is not shown.
    var answeredEarly = false
    var clientClosed = false
    /// Whether the answer's documents are rewritten: only a chunked one may change its length.
    var isRewritten = false
    /// The most bytes that one document of a rewritten answer may have.
    static let documentLimit = 4 << 20
    /// The most bytes that a message may have that is reworded.
    static let messageLimit = 64 << 10
    /// The head of a refusal that waits for its message, which may be another one's length.
    var refusal: ResponseHead?
    /// Text of a rewritten answer that does not make a whole document yet.
    var line = ByteBuffer()
    /// Whether anything of the answer has been seen: before that, a spare connection that broke may be replaced.
    var sawAnswer = false
    let usedSpare: Bool

    init(request: RequestHead, forward: Forward, backend: BackendHandler, usedSpare: Bool) {
        self.request = request
        self.forward = forward
        self.backend = backend
        self.usedSpare = usedSpare
        body = BodyReader(forward.body == nil ? request.framing : .none)
    }

    var isRaw: Bool {
        if case .raw = answering { true } else { false }
    }

    /// Bytes that follow an upgrade are held until the engine has agreed to it.
    var awaitsUpgrade: Bool { request.upgrade != nil && !isRaw }

    var wantsMore: Bool {
        guard backend.isWritable else { return false }
        return isRaw || !body.isComplete || !awaitsUpgrade
    }
}
