internal import Engine
internal import NIOCore

/// Which ids are others on a stream.
enum AliasSource: Sendable {
    /// As they were when the stream was opened.
    case fixed(AliasTable?)
    /// As they are at each moment, for streams that stand for long.
    case live(@Sendable @NodeLoop () -> AliasTable?)
}

/// Has the user's side of one HTTP exchange speak of containers by the ids that users know, and the engine's by its own.
///
/// Heads and bodies of JSON are changed; archives, logs and hijacked streams pass as they are. For a stream that carries one
/// exchange.
final class AliasHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private struct Side {
        private enum State {
            case head(seen: [UInt8])
            case body
            case asItIs
        }

        private let direction: AliasTable.Direction
        private var replacer: AliasReplacer
        private var state = State.head(seen: [])

        init(_ table: AliasTable?, _ direction: AliasTable.Direction) {
            self.direction = direction
            replacer = AliasReplacer(table?.replacements(direction) ?? [])
        }

        mutating func renew(_ table: AliasTable?) { replacer.replacements = table?.replacements(direction) ?? [] }

        mutating func pass(_ buffer: ByteBuffer) -> ByteBuffer {
            let bytes = Array(buffer.readableBytesView)
            switch state {
            case .asItIs: return buffer
            case .body: return ByteBuffer(bytes: replacer.pass(bytes))
            case .head(let seen):
                let all = seen + bytes
                guard let end = Self.endOfHead(all) else {
                    state = .head(seen: all)
                    return ByteBuffer(bytes: replacer.pass(bytes))
                }
                let ownEnd = end - seen.count
                var out = replacer.pass(Array(bytes[..<ownEnd])) + replacer.finish()
                if Self.isJSON(all[..<end]) {
                    state = .body
                    out += replacer.pass(Array(bytes[ownEnd...]))
                } else {
                    state = .asItIs
                    out += bytes[ownEnd...]
                }
                return ByteBuffer(bytes: out)
            }
        }

        mutating func finish() -> ByteBuffer { ByteBuffer(bytes: replacer.finish()) }

        private static func endOfHead(_ bytes: [UInt8]) -> Int? {
            let end = Array("\r\n\r\n".utf8)
            guard bytes.count >= end.count else { return nil }
            return (0...bytes.count - end.count).first { bytes[$0..<$0 + end.count].elementsEqual(end) }
                .map { $0 + end.count }
        }

        private static func isJSON(_ head: ArraySlice<UInt8>) -> Bool {
            String(decoding: head, as: UTF8.self).split(separator: "\r\n").contains { line in
                let line = line.lowercased()
                return line.hasPrefix("content-type:") && line.contains("json")
            }
        }
    }

    private let source: AliasSource
    private var table: AliasTable?
    private var toEngine: Side
    private var fromEngine: Side

    init(_ source: AliasSource) {
        self.source = source
        if case .fixed(let known) = source { table = known }
        toEngine = Side(table, .toEngine)
        fromEngine = Side(table, .fromEngine)
    }

    /// Puts one in front of what a channel's pipeline will have; none where no id is another, nor can become one.
    static func add(_ source: AliasSource, to channel: any Channel) -> EventLoopFuture<Void> {
        if case .fixed(let table) = source, table?.isEmpty ?? true {
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(AliasHandler(source))
        }
    }

    private func look() {
        guard case .live(let current) = source else { return }
        let now = NodeLoop.assumeIsolated { current() }
        guard now != table else { return }
        table = now
        toEngine.renew(now)
        fromEngine.renew(now)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        look()
        let passed = fromEngine.pass(unwrapInboundIn(data))
        if passed.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(passed)) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { flushInbound(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        flushInbound(context)
        context.fireChannelInactive()
    }

    private func flushInbound(_ context: ChannelHandlerContext) {
        let rest = fromEngine.finish()
        if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        look()
        context.write(wrapOutboundOut(toEngine.pass(unwrapOutboundIn(data))), promise: promise)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input {
            let rest = toEngine.finish()
            if rest.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(rest), promise: nil) }
        }
        context.close(mode: mode, promise: promise)
    }
}
