import DockerAPI
import Engine
import Fleet
import Images
import NIOCore

/// One stream of a peer: reads its requests one by one, has each decided, and splices what is admitted to the engine.
///
/// Requests behind the first wait in the buffer until the answer before them is complete; the stream is read only as far as
/// the engine takes the bytes.
@NodeLoop
final class GuardStream: ChannelSide {
    enum Phase {
        /// Waiting for a request.
        case head
        /// The request is there; its ticket is not.
        case awaitingTicket
        /// Reading the whole of a body that has to be checked, or dropped.
        case collecting(BodyReader, ByteBuffer, limit: Int, keeps: Bool)
        /// The guard is making up its mind, or the engine is being dialled.
        case deciding
        /// A body is on its way to the engine, or is complete.
        case exchanging(BodyReader, left: Int64, (any StreamDecoder)?)
        case raw
        /// A refused request's body is thrown away, so that the next request can be found.
        case draining(BodyReader, left: Int)
        /// Our last word is said; what still comes is thrown away until the peer hangs up.
        case closing
        case closed
    }

    /// What a refused request may still send before it is worth more to hang up.
    static let drainLimit = 1 << 20
    /// A body where Docker's API has none.
    static let droppedBodyLimit = 64 << 10
    /// What a client may send ahead of its turn.
    static let earlyLimit = 64 << 10
    /// How long a peer may take to hang up after our last word.
    static let lingering: TimeAmount = .seconds(10)

    let desk: Guard
    var caller: Result<CallScope, DockerFailure>
    /// The workload whose ticket is on its way to this node by another road.
    var awaited: WorkloadID?
    let stream: any Channel
    var phase = Phase.head
    var inbound = ByteBuffer()
    var parser = HeadParser<RequestHead>()
    var request: RequestHead?
    var hold: StartOrder.Hold?
    var exchange: EngineExchange?
    /// Whether the client was told to go on with the body that it holds back.
    var hasContinued = false
    var isInputClosed = false
    private var hasFinishedOutput = false
    private var isAdvancing = false
    /// Whether something has happened since the last step began.
    private var isOverdue = false

    init(
        desk: Guard, caller: Result<CallScope, DockerFailure>, awaited: WorkloadID? = nil, stream: any Channel
    ) {
        self.desk = desk
        self.caller = caller
        self.awaited = awaited
        self.stream = stream
    }

    // MARK: - What the channel tells

    func channelActive() { advance() }

    func received(_ bytes: ByteBuffer) {
        if inbound.readableBytes == 0 { inbound = bytes } else { inbound.writeImmutableBuffer(bytes) }
        advance()
    }

    func readComplete() {}

    func inputClosed() {
        isInputClosed = true
        advance()
    }

    func channelInactive() {
        phase = .closed
        releaseHold()
        exchange?.cancel()
        exchange = nil
    }

    func writabilityChanged() { exchange?.resume() }

    // MARK: - The client's bytes

    func advance() {
        // A write tells within itself that there is room again: a step in the middle of another would find old state.
        isOverdue = true
        guard !isAdvancing else { return }
        isAdvancing = true
        while isOverdue {
            isOverdue = false
            do throws(HTTPError) {
                while try step() {}
            } catch {
                giveUp(DockerFailure(error))
            }
        }
        isAdvancing = false
        // An empty slice would keep all of the buffer that it is of.
        if inbound.readableBytes == 0 { inbound = ByteBuffer() }
        if wantsBytes { stream.read() }
    }

    private var wantsBytes: Bool {
        if isInputClosed { return false }
        return switch phase {
        case .head, .collecting, .draining, .closing: true
        case .deciding: false
        case .awaitingTicket: inbound.readableBytes < Self.earlyLimit
        // Beyond the body, reading on is how a client that hangs up is noticed.
        case .exchanging(let reader, _, _):
            reader.isComplete ? inbound.readableBytes < Self.earlyLimit : exchange?.isWritable ?? false
        case .raw: exchange?.isWritable ?? false
        case .closed: false
        }
    }

    /// - Returns: whether there may be more to do with what has come.
    private func step() throws(HTTPError) -> Bool {
        switch phase {
        case .head: return try readHead()
        case .collecting(let reader, let body, let limit, let keeps): return try collect(reader, body, limit, keeps)
        case .deciding, .closed: return false
        case .awaitingTicket:
            // Who hangs up has thought better of it.
            if isInputClosed { hangUp() }
            return false
        case .exchanging(let reader, let left, let decompressor?): return try unpack(reader, left, decompressor)
        case .exchanging(let reader, let left, nil): return try forward(reader, left)
        case .raw:
            if inbound.readableBytes > 0, exchange?.isWritable == true {
                exchange?.send(inbound)
                inbound = ByteBuffer()
            }
            if isInputClosed, inbound.readableBytes == 0 { exchange?.closeOutput() }
            return false
        case .draining(let reader, let left): return try drain(reader, left)
        case .closing:
            inbound = ByteBuffer()
            if isInputClosed { stream.finish() }
            return false
        }
    }

    private func readHead() throws(HTTPError) -> Bool {
        guard let head = try parser.parse(&inbound) else {
            if isInputClosed { hangUp() }
            return false
        }
        parser = HeadParser()
        request = head
        hasContinued = false
        begin(head)
        return true
    }

    private func collect(
        _ reader: BodyReader, _ body: ByteBuffer, _ limit: Int, _ keeps: Bool
    ) throws(HTTPError) -> Bool {
        var reader = reader
        var body = body
        var left = limit
        // The buffer must not be held twice while it grows.
        phase = .deciding
        while let part = try reader.next(&inbound) {
            left -= part.raw.readableBytes
            guard left >= 0 else {
                giveUp(DockerFailure(status: 413, message: "lighter: the request's body is longer than is admitted"))
                return true
            }
            if keeps, let payload = part.payload { body.writeImmutableBuffer(payload) }
        }
        guard reader.isComplete else {
            phase = .collecting(reader, body, limit: left, keeps: keeps)
            if isInputClosed { hangUp() }
            return false
        }
        decide(body)
        return false
    }

    private func forward(_ reader: BodyReader, _ left: Int64) throws(HTTPError) -> Bool {
        var reader = reader
        var left = left
        while exchange?.isWritable == true, let part = try reader.next(&inbound) {
            left -= Int64(part.raw.readableBytes)
            guard left >= 0 else {
                giveUp(DockerFailure(status: 413, message: "lighter: the upload is longer than this node admits"))
                return true
            }
            exchange?.send(part.raw)
            // What it met may have ended the exchange.
            guard case .exchanging = phase else { return true }
        }
        phase = .exchanging(reader, left: left, nil)
        // A client that hangs up has given up, as the engine shall know; unless it has asked more before.
        if isInputClosed, inbound.readableBytes == 0 { exchange?.closeOutput() }
        return false
    }

    /// Forwards what a compressed body holds, only as far as the engine takes it.
    private func unpack(
        _ reader: BodyReader, _ left: Int64, _ decompressor: any StreamDecoder
    ) throws(HTTPError) -> Bool {
        var reader = reader
        var left = left
        while exchange?.isWritable == true {
            let piece: ByteBuffer?
            do throws(ImageError) {
                piece = try decompressor.next()
            } catch {
                giveUp(DockerFailure(status: 400, message: "lighter: \(error)"))
                return true
            }
            if let piece {
                left -= Int64(piece.readableBytes)
                guard left >= 0 else {
                    giveUp(DockerFailure(status: 413, message: "lighter: the upload is longer than this node admits"))
                    return true
                }
                exchange?.send(ChunkedEncoding.chunk(piece))
                guard case .exchanging = phase else { return true }
            } else if reader.isComplete {
                guard decompressor.isComplete else {
                    giveUp(DockerFailure(status: 400, message: "lighter: the zstd stream ends in the middle"))
                    return true
                }
                phase = .exchanging(reader, left: left, nil)
                exchange?.send(ChunkedEncoding.end)
                return true
            } else if let part = try reader.next(&inbound) {
                if let payload = part.payload { decompressor.add(payload) }
            } else {
                break
            }
        }
        phase = .exchanging(reader, left: left, decompressor)
        if isInputClosed, !reader.isComplete, inbound.readableBytes == 0 { exchange?.closeOutput() }
        return false
    }

    private func drain(_ reader: BodyReader, _ left: Int) throws(HTTPError) -> Bool {
        var reader = reader
        var left = left
        while let part = try reader.next(&inbound) {
            left -= part.raw.readableBytes
            guard left >= 0 else {
                hangUp()
                return true
            }
        }
        if reader.isComplete {
            phase = .head
            return true
        }
        phase = .draining(reader, left: left)
        if isInputClosed { hangUp() }
        return false
    }

    // MARK: - Endings

    /// Answers a request that is not admitted. The connection stays usable where the request's end can be found.
    func refuse(_ failure: DockerFailure, closing: Bool) {
        releaseHold()
        let head = request
        let rest = unreadBody
        let mustClose =
            closing || !(head?.keepAlive ?? false) || (rest != nil && head?.expectsContinue == true && !hasContinued)
        desk.logRefusal(failure, of: head, caller: caller)
        stream.writeAndFlush(
            GuardResponse.bytes(failure, method: head?.method ?? "GET", closing: mustClose), promise: nil)
        request = nil
        if mustClose {
            hangUp()
        } else if let rest {
            phase = .draining(rest, left: Self.drainLimit)
        } else {
            phase = .head
        }
    }

    /// The request's end cannot be found any more: the last word, unless the engine had it already.
    private func giveUp(_ failure: DockerFailure) {
        let hasAnswered = exchange?.hasAnswered ?? false
        exchange?.cancel()
        exchange = nil
        if hasAnswered { hangUp() } else { refuse(failure, closing: true) }
    }

    /// What is left to read of the present request's body; nil when nothing is.
    private var unreadBody: BodyReader? {
        let reader: BodyReader? =
            switch phase {
            case .head: request.map { BodyReader($0.framing, decoding: false) }
            case .collecting(let reader, _, _, _): reader
            case .exchanging(let reader, _, _): reader
            default: nil
            }
        return reader?.isComplete == false ? reader : nil
    }

    /// Says no more, and waits for the peer to hang up too, so that our last bytes are not lost to a reset.
    func hangUp() {
        if case .closed = phase { return }
        if case .closing = phase { return }
        phase = .closing
        inbound = ByteBuffer()
        finishOutput()
        let stream = stream
        let timer = stream.eventLoop.scheduleTask(in: Self.lingering) { stream.close(promise: nil) }
        stream.closeFuture.whenComplete { _ in timer.cancel() }
        if isInputClosed { stream.finish() }
    }

    func finishOutput() {
        if hasFinishedOutput { return }
        hasFinishedOutput = true
        stream.finishOutput()
    }

    func releaseHold() {
        if let hold { desk.release(hold) }
        hold = nil
    }

    /// The exchange is over: on to the next request, or away.
    func finished(reusable: Bool) {
        exchange = nil
        releaseHold()
        let head = request
        let rest = unreadBody
        request = nil
        guard reusable, head?.keepAlive == true else { return hangUp() }
        if let rest {
            if head?.expectsContinue == true && !hasContinued { return hangUp() }
            phase = .draining(rest, left: Self.drainLimit)
        } else {
            phase = .head
        }
        advance()
    }
}
