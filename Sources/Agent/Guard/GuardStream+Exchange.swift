import DockerAPI
import Engine
import Fleet
import Images
import Logging
import NIOCore

/// From a request's head to the engine's answer.
extension GuardStream: EngineExchangeOwner {
    /// The route and the scope say at once whether it is refused, and whether its body has to be read first.
    func begin(_ head: RequestHead) {
        if let workload = awaited {
            awaited = nil
            phase = .awaitingTicket
            return desk.scope(of: caller, awaiting: workload, on: stream.eventLoop) { [weak self] scope in
                guard let self, case .awaitingTicket = phase else { return }
                caller = scope
                begin(head)
                advance()
            }
        }
        do throws(DockerFailure) {
            let admission = try desk.admit(head, caller)
            hold = desk.hold(for: admission)
            let reader = BodyReader(head.framing)
            if admission.streamsBody || reader.isComplete {
                phase = .deciding
                decide(admission, ByteBuffer())
                return
            }
            if head.expectsContinue {
                hasContinued = true
                stream.writeAndFlush(GuardResponse.goOn, promise: nil)
            }
            phase = .collecting(
                reader, ByteBuffer(),
                limit: admission.readsBody ? desk.configuration.policy.maximumBody : Self.droppedBodyLimit,
                keeps: admission.readsBody)
        } catch {
            refuse(error, closing: false)
        }
    }

    /// The body that had to be read is there.
    func decide(_ body: ByteBuffer) {
        guard let head = request else { return }
        do throws(DockerFailure) {
            decide(try desk.admit(head, caller), body)
        } catch {
            refuse(error, closing: false)
        }
    }

    private func decide(_ admission: Guard.Admitted, _ body: ByteBuffer) {
        guard let head = request else { return }
        // Unstructured: a channel's callback cannot wait. It ends with the engine's answer or timeout, and a stream that is gone
        // by then lets go of the passage at once.
        Task { @NodeLoop in
            do throws(DockerFailure) {
                switch try await desk.verdict(admission, head: head, body: body) {
                case .passage(let passage):
                    guard case .deciding = phase else {
                        passage.ended?()
                        return
                    }
                    start(passage, head)
                case .answer(let json):
                    guard case .deciding = phase else { return }
                    let bytes = DockerResponseBytes.json(
                        json, version: admission.apiVersion, closing: !head.keepAlive, method: head.method)
                    stream.writeAndFlush(bytes, promise: nil)
                    finished(reusable: true)
                case .done:
                    guard case .deciding = phase else { return }
                    let bytes = DockerResponseBytes.make(
                        status: 204, contentType: nil, body: ByteBuffer(), version: admission.apiVersion,
                        closing: !head.keepAlive)
                    stream.writeAndFlush(bytes, promise: nil)
                    finished(reusable: true)
                case .produced(let produced):
                    guard case .deciding = phase else { return }
                    await send(produced, version: admission.apiVersion)
                }
            } catch {
                guard case .deciding = phase else { return }
                if admission.streamsBody {
                    phase = .exchanging(BodyReader(head.framing, decoding: false), left: 0, nil)
                }
                refuse(error, closing: false)
                advance()
            }
        }
    }

    /// An answer that the guard makes; one that cannot be finished is cut short, so that the caller sees it.
    private func send(_ produced: Guard.Produced, version: String?) async {
        stream.writeAndFlush(
            DockerResponseBytes.chunkedHead(
                contentType: produced.contentType, version: version, extra: produced.headers), promise: nil)
        do {
            try await produced.body { [stream] piece in
                guard piece.readableBytes > 0 else { return }
                try await stream.writeAndFlush(ChunkedEncoding.chunk(piece)).get()
            }
            try await stream.writeAndFlush(ChunkedEncoding.end).get()
        } catch {
            desk.logger.warning("an answer was cut short", metadata: ["reason": "\(error)"])
            guard case .deciding = phase else { return }
            return hangUp()
        }
        guard case .deciding = phase else { return }
        finished(reusable: true)
    }

    private func start(_ passage: Passage, _ head: RequestHead) {
        var reader = BodyReader(BodyFraming.none)
        var limit: Int64 = 0
        var decompressor: (any StreamDecoder)?
        switch passage.body {
        case .none, .bytes: break
        case .streamed(let bound):
            reader = BodyReader(head.framing, decoding: false)
            limit = bound
        case .decompressed(let made, let bound):
            reader = BodyReader(head.framing)
            limit = bound
            decompressor = made
        }
        phase = .exchanging(reader, left: limit, decompressor)
        let exchange = EngineExchange(passage, method: head.method, client: stream, owner: self)
        self.exchange = exchange
        exchange.dial(desk.dialer, on: stream.eventLoop)
    }

    func exchangeWritable() { advance() }

    func exchangeContinued() {
        hasContinued = true
        stream.flush()
    }

    func exchangeAnswered() {
        stream.flush()
        releaseHold()
    }

    func exchangeHijacked() {
        phase = .raw
        advance()
    }

    func exchangeInputClosed() { finishOutput() }

    func exchangeFinished(reusable: Bool) {
        if case .raw = phase {
            exchange = nil
            return hangUp()
        }
        finished(reusable: reusable)
    }

    func exchangeFailed(_ failure: DockerFailure) {
        let hasAnswered = exchange?.hasAnswered ?? false
        exchange = nil
        if hasAnswered {
            // The answer was cut short: only a connection that ends there says so.
            desk.logger.warning("engine's answer cut short", metadata: ["reason": "\(failure.message)"])
            releaseHold()
            return hangUp()
        }
        refuse(failure, closing: false)
        advance()
    }
}

/// Answers that the guard gives itself.
enum GuardResponse {
    static let goOn = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")

    /// A refusal; `X-Lighter-Refused` tells it from the engine's own, and whether another node may say otherwise.
    static func bytes(_ failure: DockerFailure, method: String, closing: Bool) -> ByteBuffer {
        let kind =
            switch failure.status {
            case 503: "capacity"
            case 502, 504: "engine"
            default: "policy"
            }
        return DockerResponseBytes.make(
            status: failure.status, contentType: "application/json", body: failure.body, version: nil, closing: closing,
            method: method, extra: [("X-Lighter-Refused", kind)])
    }
}
