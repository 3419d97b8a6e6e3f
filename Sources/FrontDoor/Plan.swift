internal import DockerAPI
internal import Engine
internal import NIOCore

/// What the front door does with one request, once its head has been read.
indirect enum Plan: Sendable {
    /// Pass head, body and answer between the client and an engine, verbatim.
    case forward(Forward)
    /// Answer with these bytes; the request's body is read and dropped.
    case answer(Answer)
    /// Gather the body, then let a job answer.
    case handle(Job)
    /// Let a job answer that reads the body as it comes.
    case receive(Reception)
    /// Answer, and leave the connection to who speaks another protocol on it.
    case adopt(Adoption)
    /// Ask first, then plan; the body waits.
    case ask(@Sendable @NodeLoop () async -> Plan)
}

/// A request that is passed on to an engine, here or at another node.
struct Forward: Sendable {
    /// How the engine's connection is made.
    var dialer: any DockerDialer
    /// Connections with the same key may serve the next request of the same client; nil: used once.
    var reuseKey: String?
    /// The head as it is sent.
    var head: ByteBuffer
    /// A body that has been gathered already; nil: the client's own follows.
    var body: ByteBuffer?
    var early: EarlyAnswer?
    /// Turns each JSON document of a streamed answer into another; nil: verbatim.
    var rewrite: (@Sendable (ByteBuffer) -> ByteBuffer)?
    /// Turns what an engine says in refusing into the user's words; nil: verbatim.
    var reword: (@Sendable (ByteBuffer) -> ByteBuffer)?
    /// Told the final status before it reaches the client.
    var answered: (@Sendable (_ status: Int) -> Void)?
    /// Told that the engine has said its last, before the client hears so.
    var ended: (@Sendable () -> Void)?
    /// How its answer goes on where the container does elsewhere; nil: it ends with the engine's.
    var succession: Succession?

    init(dialer: any DockerDialer, reuseKey: String? = nil, head: ByteBuffer, body: ByteBuffer? = nil) {
        self.dialer = dialer
        self.reuseKey = reuseKey
        self.head = head
        self.body = body
    }
}

/// An answer that is certain before the engine has given it, and so costs no round trip.
enum EarlyAnswer: Sendable {
    /// `attach` to a container that exists and has not started: 101 at once, raw bytes behind it.
    case upgraded(head: ByteBuffer)
}

/// A complete response.
struct Answer: Sendable {
    var bytes: ByteBuffer
    var closes: Bool

    init(_ bytes: ByteBuffer, closes: Bool = false) {
        self.bytes = bytes
        self.closes = closes
    }
}

/// A connection that is no HTTP/1 any more.
struct Adoption: Sendable {
    /// What the client is answered.
    var head: ByteBuffer
    /// Gets all that the client says behind its request.
    var take: @Sendable @NodeLoop (any Channel) -> any RawSide
}

/// Work on a body that is too long to be gathered.
struct Reception: Sendable {
    /// What it leaves of the body costs the client its connection.
    var run: @Sendable @NodeLoop (_ body: BodyFeed, _ client: ClientWriter) async -> Job.Outcome
}

/// Work that needs more than moving bytes.
struct Job: Sendable {
    /// The most that the request's body may be, in bytes; more is answered with 413.
    var bodyLimit: Int
    var run: @Sendable @NodeLoop (_ body: ByteBuffer, _ client: ClientWriter) async -> Outcome

    init(
        bodyLimit: Int = 8 << 20,
        run: @escaping @Sendable @NodeLoop (_ body: ByteBuffer, _ client: ClientWriter) async -> Outcome
    ) {
        self.bodyLimit = bodyLimit
        self.run = run
    }

    enum Outcome: Sendable {
        case answer(Answer)
        case forward(Forward)
        /// The job wrote its answer to the client itself.
        case streamed
    }
}
