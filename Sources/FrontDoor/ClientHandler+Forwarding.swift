internal import DockerAPI
internal import Engine
internal import NIOCore

/// Passing a request to an engine and its answer back.
extension ClientHandler {
    func startForwarding(_ head: RequestHead, _ forward: Forward) {
        var reused: BackendHandler?
        if let spare, spare.key == forward.reuseKey, !spare.backend.inputClosed {
            reused = spare.backend
        } else {
            spare?.backend.abandon()
        }
        spare = nil
        let exchange = Exchange(
            request: head, forward: forward, backend: reused ?? BackendHandler(client: self), usedSpare: reused != nil)
        begin(exchange)
    }

    func begin(_ exchange: Exchange) {
        exchange.clientClosed = inputClosed
        state = .forwarding(exchange)
        let backend = exchange.backend
        // The engine is heard as fast as the client reads, whatever the request before this one left behind.
        backend.setReading(context?.channel.isWritable ?? true)
        backend.write(exchange.forward.head)
        if let body = exchange.forward.body, body.readableBytes > 0 { backend.write(body) }
        answerEarly(exchange)
        endWithContainer(exchange)
        // Last: it may fail at once.
        if exchange.usedSpare { backend.flush() } else { dial(exchange) }
    }

    private func answerEarly(_ exchange: Exchange) {
        switch exchange.forward.early {
        case .upgraded(let head)?:
            exchange.answeredEarly = true
            exchange.shown = .raw
            writeAndFlush(head)
            exchange.answering = .head
        case nil: break
        }
    }

    private func dial(_ exchange: Exchange) {
        guard let context else { return }
        let loop = context.eventLoop
        let boundBackend = NIOLoopBound(exchange.backend, eventLoop: loop)
        let boundClient = NIOLoopBound(self, eventLoop: loop)
        exchange.forward.dialer.dial(on: loop) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(boundBackend.value)
            }
        }.hop(to: loop).whenComplete { result in
            switch result {
            case .success(let channel):
                if boundBackend.value.isAbandoned { channel.close(promise: nil) }
            case .failure(let error): boundClient.value.backendGone(boundBackend.value, error: error)
            }
        }
    }

    // MARK: Client to engine

    /// Passes on what the client sent; true when something changed that allows another step.
    func sendBody(_ exchange: Exchange) throws -> Bool {
        let backend = exchange.backend
        if exchange.isBetween {
            // Who follows output has nothing to say but that it does not listen any more.
            if exchange.clientClosed, case .chunks? = exchange.shown { close() }
            return false
        }
        if exchange.isRaw {
            if inbound.readableBytes > 0, backend.isWritable {
                backend.write(inbound.readSlice(length: inbound.readableBytes) ?? ByteBuffer())
                backend.flush()
            }
            if exchange.clientClosed, inbound.readableBytes == 0 { backend.closeOutput() }
            return false
        }
        while !exchange.body.isComplete, backend.isWritable, let part = try exchange.body.next(&inbound) {
            backend.write(part.raw)
        }
        backend.flush()
        guard exchange.clientClosed, exchange.request.upgrade == nil || !exchange.body.isComplete else { return false }
        // The client's end is passed on, but not while a further request of its waits, or a part of this one's body.
        if inbound.readableBytes == 0 || !exchange.body.isComplete && backend.isWritable { backend.closeOutput() }
        return false
    }

    func backendWritabilityChanged(_ backend: BackendHandler) {
        guard case .forwarding(let exchange) = state, exchange.backend === backend else { return }
        advance()
    }

    // MARK: Engine to client

    func backendRead(_ buffer: ByteBuffer, from backend: BackendHandler) {
        guard case .forwarding(let exchange) = state, exchange.backend === backend else {
            // An engine that speaks without being asked is not to be trusted with the next question.
            if spare?.backend === backend { dropSpare() }
            return
        }
        exchange.sawAnswer = true
        var buffer = buffer
        if exchange.isRaw { return write(exchange.whole(buffer)) }
        if exchange.held.readableBytes == 0 { exchange.held = buffer } else { exchange.held.writeBuffer(&buffer) }
        do {
            while try readAnswer(exchange) {}
            // An empty slice keeps all of the buffer that it is of: of a link's, 32 KiB for each stream.
            if exchange.held.readableBytes == 0 { exchange.held = ByteBuffer() }
        } catch {
            // An engine that does not speak HTTP: nothing that follows can be trusted.
            backend.abandon()
            if exchange.hasBegun { abort() } else { fail(exchange, 502, "the engine's answer is not HTTP: \(error)") }
        }
    }

    func backendReadComplete(from backend: BackendHandler) {
        guard case .forwarding(let exchange) = state else {
            context?.flush()
            return
        }
        if exchange.backend === backend, let context, !context.channel.isWritable { backend.setReading(false) }
        context?.flush()
    }

    /// One step of the answer; false when it takes more bytes.
    private func readAnswer(_ exchange: Exchange) throws -> Bool {
        switch exchange.answering {
        case .head:
            guard let head = try exchange.parser.parse(&exchange.held) else { return false }
            return try answerHead(head, exchange)
        case .body(var reader, let keepAlive):
            while !reader.isComplete, let part = try reader.next(&exchange.held) {
                try pass(part, exchange, last: reader.isComplete)
            }
            exchange.answering = .body(reader, keepAlive: keepAlive)
            if reader.isComplete { answered(exchange, keepAlive: keepAlive) }
            return false
        case .raw:
            if exchange.held.readableBytes > 0 { write(exchange.whole(exchange.held)) }
            exchange.held = ByteBuffer()
            return false
        case .done: return false
        }
    }

    private func answerHead(_ head: ResponseHead, _ exchange: Exchange) throws -> Bool {
        let framing = head.framing(forMethod: exchange.request.method)
        if case .interim = framing {
            if !exchange.answeredEarly { writeAndFlush(head.raw) }
            return true
        }
        if exchange.answeredEarly { return answerHeadAfterEarly(head, framing, exchange) }
        exchange.forward.answered?(head.status)
        if head.status >= 400, exchange.forward.reword != nil, case .length(...Exchange.messageLimit) = framing {
            exchange.refusal = head
        } else {
            write(head.raw)
        }
        switch framing {
        case .upgraded, .untilClose:
            if head.status == 101 || head.status == 200 { exchange.shown = .raw }
            becomeRaw(exchange)
        case .none: answered(exchange, keepAlive: head.keepAlive)
        case .length(let count):
            exchange.answering = .body(BodyReader(BodyFraming.length(count)), keepAlive: head.keepAlive)
        case .chunked:
            exchange.isRewritten = exchange.forward.rewrite != nil && head.status == 200
            if head.status == 200 { exchange.shown = .chunks }
            exchange.answering = .body(BodyReader(BodyFraming.chunked), keepAlive: head.keepAlive)
        case .interim: break
        }
        return true
    }

    /// The client believes in success already; a refusal can only be told in what the protocol has left.
    private func answerHeadAfterEarly(
        _ head: ResponseHead, _ framing: ResponseFraming, _ exchange: Exchange
    ) -> Bool {
        switch (exchange.shown, framing) {
        case (.raw, .upgraded), (.raw, .untilClose):
            becomeRaw(exchange)
        case (.chunks, .chunked) where head.status == 200:
            exchange.isRewritten = exchange.forward.rewrite != nil
            exchange.answering = .body(BodyReader(BodyFraming.chunked), keepAlive: head.keepAlive)
        default:
            exchange.backend.abandon()
            close()
            return false
        }
        if let succession = exchange.succession { NodeLoop.assumeIsolated { succession.stands() } }
        return true
    }

    private func becomeRaw(_ exchange: Exchange) {
        exchange.answering = .raw
        // What the client sent early was held until now.
        if inputClosed { exchange.clientClosed = true }
        advance()
    }

    private func pass(_ part: BodyPart, _ exchange: Exchange, last: Bool) throws {
        if let head = exchange.refusal, let reword = exchange.forward.reword {
            if var payload = part.payload { exchange.line.writeBuffer(&payload) }
            guard last else { return }
            let message = reword(exchange.line)
            write(try head.withHeader("Content-Length", "\(message.readableBytes)").raw)
            return write(message)
        }
        guard exchange.isRewritten, let rewrite = exchange.forward.rewrite else {
            guard exchange.succession != nil else { return write(part.raw) }
            if let payload = part.payload { write(ChunkedEncoding.chunk(exchange.whole(payload))) }
            return
        }
        if var payload = part.payload { exchange.line.writeBuffer(&payload) }
        guard exchange.line.readableBytes <= Exchange.documentLimit else {
            throw HTTPError(status: 502, message: "a document of over \(Exchange.documentLimit) bytes")
        }
        var out = ByteBuffer()
        while let end = exchange.line.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let length = end - exchange.line.readerIndex + 1
            guard let document = exchange.line.readSlice(length: length) else { break }
            out.writeImmutableBuffer(rewrite(document))
        }
        if last, exchange.line.readableBytes > 0 { out.writeImmutableBuffer(rewrite(exchange.line)) }
        exchange.line.discardReadBytes()
        if out.readableBytes > 0 { write(ChunkedEncoding.chunk(out)) }
        if last, exchange.succession == nil { write(ChunkedEncoding.end) }
    }

    private func answered(_ exchange: Exchange, keepAlive: Bool) {
        end(exchange, broke: false) { $0.answeredAtLast(exchange, keepAlive: keepAlive) }
    }

    private func answeredAtLast(_ exchange: Exchange, keepAlive: Bool) {
        if exchange.succession != nil {
            write(ChunkedEncoding.chunk(exchange.rest()))
            write(ChunkedEncoding.end)
        }
        exchange.forward.ended?()
        exchange.answering = .done(keepAlive: keepAlive)
        let backend = exchange.backend
        // An answer before the body's end: the engine wants no more of it, and the client cannot know where it ends.
        guard exchange.body.isComplete else {
            backend.abandon()
            return close()
        }
        let hasMore = !exchange.clientClosed || inbound.readableBytes > 0
        if keepAlive, hasMore, exchange.held.readableBytes == 0, let key = exchange.forward.reuseKey {
            spare = (key, backend)
            backend.setReading(true)
        } else {
            backend.abandon()
        }
        let stays = keepAlive || exchange.forward.reuseKey == nil
        finished(keepAlive: exchange.request.keepAlive && stays && hasMore)
        advance()
    }

    // MARK: Ends

    func backendInputClosed(from backend: BackendHandler) {
        guard case .forwarding(let exchange) = state, exchange.backend === backend else {
            if spare?.backend === backend { dropSpare() }
            return
        }
        guard !exchange.isBetween else { return }
        if exchange.isRaw {
            end(exchange, broke: false) { client in
                if exchange.isCut { return client.finishRaw(exchange) }
                exchange.forward.ended?()
                client.write(exchange.rest())
                // Each side closes by itself once both its directions have ended; what is under way to the engine still gets there.
                client.closeOutput()
            }
        } else {
            backendGone(backend, error: nil)
        }
    }

    /// The engine's connection has ended or could not be made.
    func backendGone(_ backend: BackendHandler, error: (any Error)?) {
        if spare?.backend === backend { return dropSpare() }
        guard case .forwarding(let exchange) = state, exchange.backend === backend else { return }
        guard !exchange.isBetween else {
            exchange.isCut = true
            return
        }
        end(exchange, broke: true) { $0.endedWithBackend(exchange, error) }
    }

    private func endedWithBackend(_ exchange: Exchange, _ error: (any Error)?) {
        if exchange.isRaw { return finishRaw(exchange) }
        if exchange.usedSpare, !exchange.sawAnswer, ["GET", "HEAD"].contains(exchange.request.method),
            exchange.request.framing == .none
        {
            // The engine closed a connection that stood idle, just as it was used again. A question may be asked twice; what
            // changes something may not.
            return begin(
                Exchange(
                    request: exchange.request, forward: exchange.forward, backend: BackendHandler(client: self),
                    usedSpare: false))
        }
        exchange.backend.abandon()
        if exchange.hasBegun {
            abort()
        } else {
            fail(exchange, 503, error.map { "\($0)" } ?? "the engine closed the connection without an answer")
        }
    }

    func endedWithContainer(_ exchange: Exchange) {
        switch exchange.answering {
        case .body where exchange.shown == .chunks: answeredAtLast(exchange, keepAlive: false)
        case .head where !exchange.hasBegun:
            fail(exchange, 404, "No such container: \(exchange.forward.succession?.containerID ?? "")")
        default: finishRaw(exchange)
        }
    }

    private func finishRaw(_ exchange: Exchange) {
        exchange.forward.ended?()
        exchange.backend.abandon()
        close()
    }

    /// The engine has said its last byte; the client may still have something to say.
    private func closeOutput() {
        guard let context else { return }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            channel.close(mode: .output, promise: nil)
        }
    }

    private func dropSpare() {
        spare?.backend.abandon()
        spare = nil
    }

    private func fail(_ exchange: Exchange, _ status: Int, _ message: String) {
        exchange.forward.answered?(status)
        writeAndFlush(DockerFailure(status: status, message: message).response(version: nil, closing: true))
        close()
    }
}

extension Exchange {
    /// Whether the client has seen a part of an answer.
    var hasBegun: Bool {
        if answeredEarly { return true }
        if case .head = answering { return false }
        return true
    }
}
