import NIOCore
import NIOHPACK
import NIOHTTP2

/// A unary gRPC call on a stream of its own: sends headers and the one message, gathers the answer and its status.
final class EtcdCallHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    /// A larger answer is not etcd's: pages are far smaller.
    private static let largestAnswer = 256 << 20
    /// Before each message: one byte that says whether it is compressed, four of its length.
    private static let prefixLength = 5

    private let headers: HPACKHeaders
    private let message: ByteBuffer
    private let answer: EventLoopPromise<ByteBuffer>
    private let endpoint: EtcdEndpoint
    private var received = ByteBuffer()
    private var isOver = false

    init(headers: HPACKHeaders, message: ByteBuffer, answer: EventLoopPromise<ByteBuffer>, endpoint: EtcdEndpoint) {
        self.headers = headers
        self.message = message
        self.answer = answer
        self.endpoint = endpoint
    }

    func channelActive(context: ChannelHandlerContext) {
        var framed = context.channel.allocator.buffer(capacity: Self.prefixLength + message.readableBytes)
        framed.writeInteger(UInt8(0))
        framed.writeInteger(UInt32(message.readableBytes))
        framed.writeImmutableBuffer(message)
        context.write(wrapOutboundOut(.headers(.init(headers: headers))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.data(.init(data: .byteBuffer(framed), endStream: true))), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let frame):
            if frame.endStream {
                end(frame.headers)
            } else if let status = frame.headers.first(name: ":status"), status != "200" {
                fail(EtcdError(.failed, "what listens at \(endpoint) is no etcd: it answered HTTP status \(status)"))
                context.close(promise: nil)
            }
        case .data(let frame):
            guard case .byteBuffer(var bytes) = frame.data else { return }
            received.writeBuffer(&bytes)
            if received.readableBytes > Self.largestAnswer {
                fail(EtcdError(.failed, "etcd at \(endpoint) sends an answer without end"))
                context.close(promise: nil)
            }
        default: break
        }
    }

    private func end(_ trailers: HPACKHeaders) {
        guard let status = trailers.first(name: "grpc-status").flatMap({ Int($0) }) else {
            return fail(EtcdError(.failed, "what listens at \(endpoint) is no etcd: it does not speak gRPC"))
        }
        guard status == 0 else {
            let message = trailers.first(name: "grpc-message") ?? ""
            return fail(EtcdError(status: status, message: Self.decoded(message), endpoint: endpoint))
        }
        guard let isCompressed: UInt8 = received.readInteger(), isCompressed == 0,
            let length: UInt32 = received.readInteger(), let message = received.readSlice(length: Int(length))
        else { return fail(EtcdError(.failed, "etcd at \(endpoint) sent half an answer")) }
        isOver = true
        answer.succeed(message)
    }

    private func fail(_ error: EtcdError) {
        guard !isOver else { return }
        isOver = true
        answer.fail(error)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(EtcdError(.unanswered, "the connection to etcd at \(endpoint) broke", cause: error))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(
            EtcdError(
                .unanswered,
                "etcd at \(endpoint) closed the connection before it answered; "
                    + "see that both speak TLS (etcds://) or neither does, and that each trusts the other's certificate"
            ))
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        fail(EtcdError(.unanswered, "the connection to etcd at \(endpoint) was closed"))
    }

    /// Undoes gRPC's percent-encoding of messages.
    static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
