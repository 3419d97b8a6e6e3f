import DockerAPI
import Engine
import Images
import NIOCore

/// What the client's side of a splice has to know of the engine's.
@NodeLoop
protocol EngineExchangeOwner: AnyObject, Sendable {
    /// The engine can be written to (again).
    func exchangeWritable()
    /// A 1xx other than 101 went to the client.
    func exchangeContinued()
    /// The response's head went to the client.
    func exchangeAnswered()
    /// From here on both directions are raw bytes.
    func exchangeHijacked()
    /// The engine said all that it will on a raw pipe.
    func exchangeInputClosed()
    /// The response is complete; `reusable` when the client may ask again on its connection.
    func exchangeFinished(reusable: Bool)
    /// The engine could not be reached, went away or spoke nonsense.
    func exchangeFailed(_ failure: DockerFailure)
}

/// One request and its response on a connection of its own to the engine, spliced to a client's channel.
///
/// A connection of its own costs tens of microseconds on a Unix socket, and no stale one is ever met.
@NodeLoop
final class EngineExchange: ChannelSide {
    private enum State {
        case dialling, head, body(BodyReader, ResponseHead), raw, over
    }

    /// How the caller sees the end of a rewritten body.
    private enum Rewriting { case none, chunked, untilClose }

    private static let tapLimit = 64 << 10
    /// The most bytes that one document of a rewritten answer may have.
    private static let documentLimit = 4 << 20

    private let passage: Passage
    private let method: String
    private let client: any Channel
    private weak var owner: (any EngineExchangeOwner)?
    private var channel: (any Channel)?
    private var state = State.dialling
    private var parser = HeadParser<ResponseHead>()
    private var inbound = ByteBuffer()
    private var tapped = ByteBuffer()
    private var rewriting = Rewriting.none
    /// Whether the body waits for something else.
    private var isWaiting = false
    private var hasWaited = false
    /// Text of a rewritten answer that does not make a whole document yet.
    private var line = ByteBuffer()
    /// Whether packed lines of a build's progress wait for their time.
    private var isTracing = false
    private var tracePace = PackingPace.progress
    private var isInputClosed = false
    private var hasClosedOutput = false
    /// Whether any byte of the engine's answer went to the client.
    private(set) var hasAnswered = false

    init(_ passage: Passage, method: String, client: any Channel, owner: any EngineExchangeOwner) {
        self.passage = passage
        self.method = method
        self.client = client
        self.owner = owner
    }

    var isWritable: Bool { if case .dialling = state { false } else { channel?.isWritable ?? false } }

    func dial(_ dialer: any DockerDialer, on loop: any EventLoop) {
        dialer.dial(on: loop) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.syncOptions?.setOption(.autoRead, value: false)
                try channel.pipeline.syncOperations.addHandler(ChannelSideHandler(self))
            }
        }.whenComplete { result in
            NodeLoop.assumeIsolated {
                switch result {
                case .success(let channel): self.connected(channel)
                case .failure(let error): self.fail("the engine cannot be reached: \(error)")
                }
            }
        }
    }

    private func connected(_ channel: any Channel) {
        guard case .dialling = state else {
            channel.close(promise: nil)
            return
        }
        self.channel = channel
        state = .head
        channel.write(passage.head.raw, promise: nil)
        if case .bytes(let bytes) = passage.body { channel.write(bytes, promise: nil) }
        channel.flush()
        channel.read()
        owner?.exchangeWritable()
    }

    func send(_ bytes: ByteBuffer) { channel?.writeAndFlush(bytes, promise: nil) }

    /// Tells the engine that its client will say no more; at once, as a client of its own would.
    func closeOutput() {
        guard !hasClosedOutput, let channel else { return }
        hasClosedOutput = true
        channel.finishOutput()
    }

    /// The client can be written to again.
    func resume() {
        if case .over = state { return }
        if client.isWritable { channel?.read() }
    }

    /// Lets go of the engine without a word to the owner.
    func cancel() {
        if case .over = state { return }
        state = .over
        passage.ended?()
        channel?.close(promise: nil)
    }

    /// Nothing yet: the first read follows the request.
    func channelActive() {}

    func received(_ bytes: ByteBuffer) {
        if case .over = state { return }
        if inbound.readableBytes == 0 { inbound = bytes } else { inbound.writeImmutableBuffer(bytes) }
        do throws(HTTPError) {
            while try step() {}
        } catch {
            fail(error.message)
        }
    }

    func readComplete() {
        if case .over = state { return }
        client.flush()
        if client.isWritable { channel?.read() }
    }

    func writabilityChanged() {
        if isWritable { owner?.exchangeWritable() }
    }

    func inputClosed() {
        guard !isInputClosed else { return }
        isInputClosed = true
        if !isWaiting { inputEnded() }
    }

    private func inputEnded() {
        switch state {
        case .raw: owner?.exchangeInputClosed()
        case .body(_, let head) where head.framing(forMethod: method) == .untilClose: finish(head, reusable: false)
        case .dialling, .head, .body: fail("the engine ended the connection in the middle of its answer")
        case .over: break
        }
    }

    func channelInactive() {
        inputClosed()
        if case .raw = state {
            end()
            owner?.exchangeFinished(reusable: false)
        }
    }

    /// - Returns: whether there may be more to do.
    private func step() throws(HTTPError) -> Bool {
        switch state {
        case .dialling, .over: return false
        case .head:
            guard let head = try parser.parse(&inbound) else { return false }
            try begin(head)
            return true
        case .body(var reader, let head):
            if rewriting != .none, mustWait() { return false }
            guard let part = try reader.next(&inbound) else { return false }
            state = .body(reader, head)
            if let rewrite = passage.rewrite, rewriting != .none {
                try pass(part, last: reader.isComplete, rewrite)
            } else {
                client.write(part.raw, promise: nil)
            }
            if passage.answered != nil || passage.heard != nil, let payload = part.payload { tap(payload) }
            if reader.isComplete { finish(head, reusable: true) }
            return true
        case .raw:
            guard inbound.readableBytes > 0 else { return false }
            client.write(inbound, promise: nil)
            inbound = ByteBuffer()
            return false
        }
    }

    private func begin(_ head: ResponseHead) throws(HTTPError) {
        let framing = head.framing(forMethod: method)
        let isRaw = framing == .upgraded || (framing == .untilClose && head.status == 200)
        if framing == .upgraded, !passage.hijacks {
            throw HTTPError(status: 502, message: "the engine switched protocols without having been asked")
        }
        let packer = framing == .upgraded ? try passage.packing?.handler() : nil
        client.write(try rewritten(head, framing), promise: nil)
        if framing == .interim {
            parser = HeadParser()
            owner?.exchangeContinued()
            return
        }
        hasAnswered = true
        owner?.exchangeAnswered()
        if passage.hijacks, isRaw {
            state = .raw
            do throws(ImageError) { try packer?.join(client, before: ChannelSideHandler.self) } catch {
                throw HTTPError(status: 502, message: error.message)
            }
            owner?.exchangeHijacked()
            return
        }
        let reader = BodyReader(framing, decoding: passage.isTapped)
        state = .body(reader, head)
        if reader.isComplete { finish(head, reusable: true) }
    }

    private func mustWait() -> Bool {
        guard let wait = passage.beforeRewriting, !hasWaited else { return false }
        guard !isWaiting, inbound.readableBytes > 0 else { return true }
        isWaiting = true
        // Unstructured: a channel's callback cannot wait. What it waits for is bounded.
        Task { @NodeLoop in
            await wait()
            isWaiting = false
            hasWaited = true
            received(ByteBuffer())
            readComplete()
            if isInputClosed { inputEnded() }
        }
        return true
    }

    private func pass(
        _ part: BodyPart, last: Bool, _ rewrite: (ByteBuffer) -> ByteBuffer?
    ) throws(HTTPError) {
        if let payload = part.payload { line.writeImmutableBuffer(payload) }
        var out = ByteBuffer()
        while let end = line.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            guard let document = line.readSlice(length: end - line.readerIndex + 1) else { break }
            if let rewritten = rewrite(document) { out.writeImmutableBuffer(rewritten) }
        }
        if last, line.readableBytes > 0, let rewritten = rewrite(line) { out.writeImmutableBuffer(rewritten) }
        guard line.readableBytes <= Self.documentLimit else {
            throw HTTPError(status: 502, message: "the engine sent a document of over \(Self.documentLimit) bytes")
        }
        line.discardReadBytes()
        let isChunked = rewriting == .chunked
        if let packer = passage.tracePacker, rewriting == .chunked {
            packer.add(out)
            out = ByteBuffer()
            if last || packer.isUrgent { out = try flushed(packer) } else { sendTraceSoon(packer) }
        }
        if out.readableBytes > 0 { client.write(isChunked ? ChunkedEncoding.chunk(out) : out, promise: nil) }
        if last, isChunked { client.write(ChunkedEncoding.end, promise: nil) }
    }

    private func flushed(_ packer: TracePacker) throws(HTTPError) -> ByteBuffer {
        do throws(ImageError) { return try packer.flush() } catch {
            throw HTTPError(status: 502, message: error.message)
        }
    }

    /// How a build goes on is told in few packets, and soon enough for a person.
    private func sendTraceSoon(_ packer: TracePacker) {
        guard !isTracing, !packer.isEmpty else { return }
        isTracing = true
        client.eventLoop.scheduleTask(in: tracePace.wait(client.eventLoop.now)) {
            NodeLoop.assumeIsolated { self.sendTrace() }
        }
    }

    private func sendTrace() {
        isTracing = false
        guard case .body = state, let packer = passage.tracePacker else { return }
        do throws(HTTPError) {
            let out = try flushed(packer)
            guard out.readableBytes > 0 else { return }
            client.writeAndFlush(rewriting == .chunked ? ChunkedEncoding.chunk(out) : out, promise: nil)
        } catch {
            fail(error.message)
        }
    }

    /// The head of an answer whose body is rewritten, which has no length that is known.
    private func rewritten(_ head: ResponseHead, _ framing: ResponseFraming) throws(HTTPError) -> ByteBuffer {
        if framing == .upgraded, let packing = passage.packing {
            return try head.withHeader(PackedStream.header, packing.answer).raw
        }
        guard passage.rewrite != nil, head.status == 200 else { return head.raw }
        if let packer = passage.tracePacker, framing != .untilClose {
            rewriting = .chunked
            let word = packer.isKnown ? PackedTrace.known : PackedTrace.name
            // What else an engine says of itself there is known.
            return ByteBuffer(
                string: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\(PackedStream.header): \(word)\r\n\r\n")
        }
        switch framing {
        case .chunked:
            rewriting = .chunked
            return head.raw
        case .length:
            rewriting = .chunked
            return try head.removing("Content-Length").withHeader("Transfer-Encoding", "chunked").raw
        case .untilClose:
            rewriting = .untilClose
            return head.raw
        case .none, .interim, .upgraded: return head.raw
        }
    }

    private func finish(_ head: ResponseHead, reusable: Bool) {
        if (200..<300).contains(head.status) {
            if let answered = passage.answered, let json = lines.last.flatMap({ try? JSON.parse($0) }) {
                answered(json)
            }
            passage.heard?(lines.compactMap { try? JSON.parse($0) })
        }
        passage.concluded?()
        client.flush()
        end()
        owner?.exchangeFinished(reusable: reusable && head.keepAlive)
    }

    /// Keeps the end of a long answer, which is where its last line is.
    private func tap(_ payload: ByteBuffer) {
        if tapped.readableBytes + payload.readableBytes > Self.tapLimit {
            tapped.moveReaderIndex(forwardBy: min(tapped.readableBytes, payload.readableBytes))
            tapped.discardReadBytes()
        }
        if payload.readableBytes <= Self.tapLimit { tapped.writeImmutableBuffer(payload) }
    }

    private var lines: [[UInt8]] {
        let isBreak = { (byte: UInt8) in byte == 0x0a || byte == 0x0d }
        return tapped.readableBytesView.split(whereSeparator: isBreak).map(Array.init)
    }

    private func fail(_ message: String) {
        if case .over = state { return }
        end()
        owner?.exchangeFailed(DockerFailure(status: 502, message: "lighter: \(message)"))
    }

    private func end() {
        state = .over
        passage.ended?()
        channel?.close(promise: nil)
    }
}
