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

    /// How the client was told that the answer comes.
    enum Shown {
        case raw, chunks
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

    /// How the answer is shown that may go on elsewhere; nil: it ends here.
    var shown: Shown?
    private var frames: (any OutputCutter)?
    /// Whether it has ended here, and it is not certain yet that it goes on.
    var isBetween = false
    /// It has ended, and does not go on.
    var isOver = false
    /// The engine's connection has ended meanwhile.
    var isCut = false

    init(request: RequestHead, forward: Forward, backend: BackendHandler, usedSpare: Bool) {
        self.request = request
        self.forward = forward
        self.backend = backend
        self.usedSpare = usedSpare
        body = BodyReader(forward.body == nil ? request.framing : .none)
        frames = forward.succession?.cutter
    }

    /// What the client has begun to hear of another goes on with this one.
    init(continuing former: Exchange, _ forward: Forward, _ backend: BackendHandler) {
        request = former.request
        self.forward = forward
        self.backend = backend
        usedSpare = false
        body = BodyReader(BodyFraming.none)
        frames = forward.succession?.cutter
        shown = former.shown
        answeredEarly = true
    }

    /// How it may go on, as far as the client has been told of an answer that may.
    var succession: Succession? { shown == nil ? nil : forward.succession }

    /// What of the engine's output is passed on now.
    func whole(_ output: ByteBuffer) -> ByteBuffer { frames?.pass(output) ?? output }
    /// What is left of it when nothing follows.
    func rest() -> ByteBuffer { frames?.finish() ?? ByteBuffer() }

    var isRaw: Bool {
        if case .raw = answering { true } else { false }
    }

    /// Bytes that follow an upgrade are held until the engine has agreed to it.
    var awaitsUpgrade: Bool { request.upgrade != nil && !isRaw }

    var wantsMore: Bool {
        if isBetween { return true }
        guard backend.isWritable else { return false }
        return isRaw || !body.isComplete || !awaitsUpgrade
    }
}
