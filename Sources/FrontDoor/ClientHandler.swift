internal import DockerAPI
internal import Engine
internal import NIOCore

/// What decides about requests; the front door itself, or a test.
@NodeLoop
protocol Planning: Sendable {
    /// What to do with a request; called once for each head, in order.
    func plan(for head: RequestHead) -> Plan
    /// Runs a job to its end, as part of the planner's own lifetime.
    func start(_ job: @escaping @Sendable @NodeLoop () async -> Void)
}

/// One client's connection: reads one request at a time, and moves the bytes of whatever was planned for it.
///
/// Bytes are passed on as they came. A pipelined request waits in `inbound` until the one before it has been answered.
final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum State {
        /// Between requests.
        case idle
        case gathering(RequestHead, BodyReader, ByteBuffer, Job)
        /// A job runs, and reads what the client sends.
        case receiving(RequestHead, BodyReader, BodyFeed)
        /// A job runs; what the client sends waits.
        case handling(RequestHead)
        case forwarding(Exchange)
        /// The answer was planned before the body had come: it is read and dropped.
        case draining(BodyReader, keepAlive: Bool)
        /// Another protocol is spoken, which is not this handler's.
        case adopted(any RawSide)
        /// Everything has been said; what still comes is dropped.
        case ending
    }

    /// Past this many unread bytes of a client whose request cannot go on, its socket is not read any more.
    static let patience = 256 << 10

    let planner: any Planning
    var context: ChannelHandlerContext?
    var state = State.idle
    var inbound = ByteBuffer()
    var inputClosed = false
    private var parser = HeadParser<RequestHead>()
    private var isReading = true
    private var isAdvancing = false
    /// Whether something has happened since the last step began.
    private var isOverdue = false
    /// A connection to an engine that stands between two requests.
    var spare: (key: String, backend: BackendHandler)?
    /// Ends what a job watches to learn that its client has gone.
    private var gone: AsyncStream<Never>.Continuation?
    /// How the answer under way may go on, while that is not certain.
    var between: Succession?

    init(planner: any Planning) {
        self.planner = planner
    }

    // MARK: The client's socket

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if case .adopted(let side) = state { return NodeLoop.assumeIsolated { side.received(buffer) } }
        if inbound.readableBytes == 0 { inbound = buffer } else { inbound.writeBuffer(&buffer) }
        advance()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .forwarding(let exchange) = state { exchange.backend.flush() }
        context.flush()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if case .forwarding(let exchange) = state { exchange.backend.setReading(context.channel.isWritable) }
        if case .adopted(let side) = state { NodeLoop.assumeIsolated { side.writabilityChanged() } }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            inputClosed = true
            if case .adopted(let side) = state { NodeLoop.assumeIsolated { side.inputClosed() } }
            clientInputClosed()
            advance()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        inputClosed = true
        if case .forwarding(let exchange) = state { leave(exchange) }
        if case .receiving(_, _, let feed) = state { NodeLoop.assumeIsolated { feed.cut() } }
        if case .adopted(let side) = state { NodeLoop.assumeIsolated { side.inputClosed() } }
        spare?.backend.abandon()
        spare = nil
        state = .ending
        leaveBetween()
        gone?.finish()
        gone = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// The client has gone in the middle; what it wrote into a stream is still the stream's.
    private func leave(_ exchange: Exchange) {
        guard exchange.isRaw else { return exchange.backend.abandon() }
        if inbound.readableBytes > 0 { exchange.backend.write(inbound) }
        inbound = ByteBuffer()
        exchange.backend.abandonBehindOutput()
    }

    // MARK: Requests

    /// Goes as far as the bytes at hand allow.
    func advance() {
        // A write tells within itself that there is room again: a step in the middle of another would find old state, and one
        // that is not made would leave bytes lying that nothing else comes to fetch.
        isOverdue = true
        guard !isAdvancing else { return }
        isAdvancing = true
        while isOverdue {
            isOverdue = false
            while step() {}
        }
        isAdvancing = false
        // Clearing one that is shared would make another as large.
        if inbound.readableBytes == 0 { inbound = ByteBuffer() }
        pace()
    }

    /// One step; false when it takes more bytes, or an answer, to go on.
    private func step() -> Bool {
        do {
            switch state {
            case .idle: return try readHead()
            case .gathering(let head, let reader, let body, let job):
                return try gather(head, reader, body, job)
            case .handling, .adopted: return false
            case .receiving(let head, let reader, let feed): return try receive(head, reader, feed)
            case .forwarding(let exchange): return try sendBody(exchange)
            case .draining(let reader, let keepAlive): return try drain(reader, keepAlive)
            case .ending:
                inbound = ByteBuffer()
                return false
            }
        } catch let error as HTTPError {
            refuse(error)
            return false
        } catch {
            close()
            return false
        }
    }

    private func readHead() throws -> Bool {
        guard let head = try parser.parse(&inbound) else {
            if inputClosed { close() }
            return false
        }
        begin(head, NodeLoop.assumeIsolated { [planner] in planner.plan(for: head) })
        return true
    }

    private func begin(_ head: RequestHead, _ plan: Plan) {
        switch plan {
        case .forward(let forward): startForwarding(head, forward)
        case .answer(let answer):
            write(answer.bytes)
            // A client that waits for 100 before its body will not send one after this.
            if head.expectsContinue { return finished(keepAlive: false) }
            state = .draining(BodyReader(head.framing), keepAlive: head.keepAlive && !answer.closes)
        case .handle(let job):
            if head.expectsContinue { writeAndFlush(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")) }
            state = .gathering(head, BodyReader(head.framing), ByteBuffer(), job)
        case .receive(let reception): startReceiving(head, reception)
        case .adopt(let adoption): adopt(adoption)
        case .ask(let question):
            guard let context else { return }
            state = .handling(head)
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            NodeLoop.assumeIsolated { [planner] in
                planner.start {
                    let plan = await question()
                    bound.value.planned(plan, for: head)
                }
            }
        }
    }

    private func adopt(_ adoption: Adoption) {
        guard let context else { return }
        let channel = context.channel
        writeAndFlush(adoption.head)
        let side = NodeLoop.assumeIsolated { adoption.take(channel) }
        state = .adopted(side)
        spare?.backend.abandon()
        spare = nil
        let early = inbound
        inbound = ByteBuffer()
        if early.readableBytes > 0 { NodeLoop.assumeIsolated { side.received(early) } }
        if inputClosed { NodeLoop.assumeIsolated { side.inputClosed() } }
    }

    private func planned(_ plan: Plan, for head: RequestHead) {
        guard case .handling = state else { return }
        begin(head, plan)
        advance()
        context?.flush()
    }

    private func gather(
        _ head: RequestHead, _ reader: BodyReader, _ gathered: ByteBuffer, _ job: Job
    ) throws -> Bool {
        var reader = reader
        var body = gathered
        state = .handling(head)  // lets go of the copies, so that appending copies nothing
        while !reader.isComplete, let part = try reader.next(&inbound) {
            if var payload = part.payload { body.writeBuffer(&payload) }
            guard body.readableBytes <= job.bodyLimit else {
                throw HTTPError(status: 413, message: "the body is over \(job.bodyLimit) bytes")
            }
        }
        guard reader.isComplete else {
            if inputClosed { close() } else { state = .gathering(head, reader, body, job) }
            return false
        }
        run(job, head, body)
        return false
    }

    private func drain(_ reader: BodyReader, _ keepAlive: Bool) throws -> Bool {
        var reader = reader
        while !reader.isComplete, try reader.next(&inbound) != nil {}
        guard reader.isComplete else {
            state = .draining(reader, keepAlive: keepAlive)
            if inputClosed { close() }
            return false
        }
        finished(keepAlive: keepAlive)
        return true
    }

    // MARK: Jobs

    private func run(_ job: Job, _ head: RequestHead, _ body: ByteBuffer) {
        start(head) { await job.run(body, $0) }
    }

    func start(
        _ head: RequestHead, _ job: @escaping @Sendable @NodeLoop (ClientWriter) async -> Job.Outcome
    ) {
        guard let context else { return }
        let (gone, inlet) = AsyncStream<Never>.makeStream()
        self.gone = inlet
        let writer = ClientWriter(channel: context.channel, gone: gone)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        NodeLoop.assumeIsolated { [planner] in
            planner.start {
                let outcome = await job(writer)
                bound.value.jobEnded(outcome, of: head)
            }
        }
    }

    private func jobEnded(_ outcome: Job.Outcome, of head: RequestHead) {
        gone?.finish()
        gone = nil
        if case .receiving = state { return leaveBody(outcome) }
        guard case .handling = state else { return }
        switch outcome {
        case .answer(let answer):
            write(answer.bytes)
            finished(keepAlive: head.keepAlive && !answer.closes)
        case .streamed: finished(keepAlive: head.keepAlive)
        case .forward(let forward): startForwarding(head, forward)
        }
        context?.flush()
        advance()
    }

    /// The job has ended before the body has: where the next request begins is not known.
    private func leaveBody(_ outcome: Job.Outcome) {
        if case .answer(let answer) = outcome { write(answer.bytes) }
        finished(keepAlive: false)
    }

    /// A client that will not read on has no use for a streamed answer.
    private func clientInputClosed() {
        switch state {
        case .handling:
            gone?.finish()
            gone = nil
        case .forwarding(let exchange):
            // The engine's side is closed behind the last byte that is held here, not before it.
            exchange.clientClosed = true
        case .ending: close()
        default: break
        }
    }

    // MARK: Writing

    /// Ready for the next request, or done with this client.
    func finished(keepAlive: Bool) {
        context?.flush()
        if keepAlive { state = .idle } else { close() }
    }

    func write(_ buffer: ByteBuffer) {
        context?.write(wrapOutboundOut(buffer), promise: nil)
    }

    func writeAndFlush(_ buffer: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    /// A request that cannot be understood: says why, and ends the connection, as nothing behind it can be trusted.
    private func refuse(_ error: HTTPError) {
        if case .forwarding(let exchange) = state {
            exchange.backend.abandon()
            if exchange.hasBegun { return abort() }
        }
        writeAndFlush(DockerFailure(status: error.status, message: error.message).response(version: nil, closing: true))
        close()
    }

    /// Closes behind everything that was written.
    func close() {
        if case .ending = state { return }
        state = .ending
        leaveBetween()
        spare?.backend.abandon()
        spare = nil
        guard let context else { return }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in channel.close(promise: nil) }
    }

    /// Closes without a trailing nicety: the client must see that its answer is not whole.
    func abort() {
        state = .ending
        context?.close(promise: nil)
    }

    /// Reads the client only while its bytes have somewhere to go.
    private func pace() {
        guard let context, context.channel.isActive else { return }
        let wanted: Bool
        switch state {
        case .forwarding(let exchange): wanted = exchange.wantsMore && inbound.readableBytes < Self.patience
        case .handling: wanted = inbound.readableBytes < Self.patience
        case .receiving(_, _, let feed): wanted = NodeLoop.assumeIsolated { feed.wantsMore }
        default: wanted = true
        }
        guard wanted != isReading else { return }
        isReading = wanted
        _ = context.channel.setOption(.autoRead, value: wanted)
    }
}
