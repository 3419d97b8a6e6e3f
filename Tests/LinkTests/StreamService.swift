import NIOCore

@testable import Link

/// An endless run of bytes that shows any loss or change of order; the interoperability peer makes the same.
struct Pattern {
    /// Byte `n` is `n * 131 + n / 256`, which repeats after 64 KiB.
    private static let period = ByteBuffer(
        bytes: (0..<(64 << 10)).map { UInt8(truncatingIfNeeded: $0 * 131 + ($0 >> 8)) })

    private var at = 0

    mutating func next(_ count: Int) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        while buffer.readableBytes < count {
            let size = min(count - buffer.readableBytes, Self.period.readableBytes - at)
            if let slice = Self.period.getSlice(at: at, length: size) { buffer.writeImmutableBuffer(slice) }
            at = (at + size) % Self.period.readableBytes
        }
        return buffer
    }
}

/// CRC-32 as Ethernet has it.
struct Checksum: Equatable {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1 }
    }

    private var state = UInt32.max

    var value: UInt32 { ~state }

    mutating func add(_ buffer: ByteBuffer) {
        var state = state
        Self.table.withUnsafeBufferPointer { table in
            buffer.withUnsafeReadableBytes { bytes in
                var index = 0
                while index < bytes.count {
                    state = table[Int(UInt8(truncatingIfNeeded: state) ^ bytes[index])] ^ (state >> 8)
                    index += 1
                }
            }
        }
        self.state = state
    }
}

/// The service of a stream: its first byte says whether it echoes, sends a pattern, or sums up what it gets.
final class StreamService: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var kind: UInt8?
    private var size = ByteBuffer()
    private var sum = Checksum()
    private var pattern = Pattern()
    private var left: UInt64 = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if kind == nil { kind = bytes.readInteger() }
        switch kind {
        case UInt8(ascii: "e"): context.write(wrapOutboundOut(bytes), promise: nil)
        case UInt8(ascii: "s"): sum.add(bytes)
        case UInt8(ascii: "n"): count(&bytes, context)
        case UInt8(ascii: "b"):
            size.writeImmutableBuffer(bytes)
            if let count = size.readInteger(as: UInt64.self) {
                left = count
                send(context)
            }
        default: context.close(promise: nil)
        }
    }

    /// Sums up as many bytes as the first eight say, and answers then.
    private func count(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) {
        if size.readableBytes < 8, let part = bytes.readSlice(length: min(8 - size.readableBytes, bytes.readableBytes))
        {
            size.writeImmutableBuffer(part)
            if size.readableBytes == 8 { left = size.getInteger(at: size.readerIndex) ?? 0 }
        }
        guard size.readableBytes == 8 else { return }
        sum.add(bytes)
        left -= min(left, UInt64(bytes.readableBytes))
        if left == 0 { context.writeAndFlush(wrapOutboundOut(ByteBuffer(integer: sum.value)), promise: nil) }
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { send(context) }

    private func send(_ context: ChannelHandlerContext) {
        guard kind == UInt8(ascii: "b") else { return }
        while left > 0, context.channel.isWritable {
            let count = min(left, 32 << 10)
            left -= count
            context.writeAndFlush(wrapOutboundOut(pattern.next(Int(count))), promise: nil)
        }
        if left == 0 {
            kind = 0
            context.close(mode: .output, promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed = event else { return }
        if kind == UInt8(ascii: "s") { context.write(wrapOutboundOut(ByteBuffer(integer: sum.value)), promise: nil) }
        if kind != UInt8(ascii: "b"), kind != 0 { context.close(mode: .output, promise: nil) }
    }

    static let acceptor: StreamAcceptor = { channel, _ in
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(StreamService())
        }
    }
}

/// Gathers a stream's bytes until its end.
final class Gather: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let done: EventLoopPromise<ByteBuffer>
    private var bytes = ByteBuffer()
    private var failure: (any Error)?

    init(_ done: EventLoopPromise<ByteBuffer>) { self.done = done }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { bytes.writeImmutableBuffer(unwrapInboundIn(data)) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { done.succeed(bytes) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { failure = error }

    func channelInactive(context: ChannelHandlerContext) { done.fail(failure ?? ChannelError.eof) }
}

extension LinkConnection {
    /// Sends `requests` on a new stream, ends this half, and answers what comes back until the other half ends.
    func exchange(_ requests: [ByteBuffer]) async throws -> ByteBuffer {
        let done = eventLoop.makePromise(of: ByteBuffer.self)
        let stream: any Channel
        do {
            stream = try await openStream { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Gather(done))
                }
            }.get()
        } catch {
            done.fail(error)
            throw error
        }
        for request in requests { stream.write(request, promise: nil) }
        stream.flush()
        stream.close(mode: .output, promise: nil)
        return try await done.futureResult.get()
    }

    func echo(_ text: String) async throws -> String {
        String(buffer: try await exchange([ByteBuffer(string: "e" + text)]))
    }
}
