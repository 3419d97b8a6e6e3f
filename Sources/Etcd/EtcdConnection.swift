import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL

/// One HTTP/2 connection to one endpoint, on which each call is a stream of its own.
final class EtcdConnection: Sendable {
    let endpoint: EtcdEndpoint
    let channel: any Channel
    private let streams: NIOHTTP2Handler.StreamMultiplexer
    private let scheme: String

    private init(
        endpoint: EtcdEndpoint, channel: any Channel, streams: NIOHTTP2Handler.StreamMultiplexer, scheme: String
    ) {
        self.endpoint = endpoint
        self.channel = channel
        self.streams = streams
        self.scheme = scheme
    }

    /// Fails with `.unreachable`.
    static func open(
        to endpoint: EtcdEndpoint, tls: NIOSSLContext?, on loop: any EventLoop, timeout: TimeAmount
    ) -> EventLoopFuture<EtcdConnection> {
        ClientBootstrap(group: loop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        // An address is no name to ask for; the certificate is held against it all the same.
                        let isAddress = (try? SocketAddress(ipAddress: endpoint.host, port: 0)) != nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : endpoint.host))
                    }
                    _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
                        mode: .client, connectionConfiguration: connectionConfiguration,
                        streamConfiguration: streamConfiguration
                    ) { stream in stream.close() }
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
            .flatMap { channel in
                channel.pipeline.handler(type: NIOHTTP2Handler.self).flatMap { $0.multiplexer }.map { streams in
                    EtcdConnection(
                        endpoint: endpoint, channel: channel, streams: streams, scheme: tls == nil ? "http" : "https")
                }
            }
            .flatMapErrorThrowing { error in
                throw EtcdError(
                    .unreachable, "etcd at \(endpoint) cannot be reached; is it running there?", cause: error)
            }
    }

    /// etcd probes the window with a ping per answer or so, which is no attack.
    private static var connectionConfiguration: NIOHTTP2Handler.ConnectionConfiguration {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.controlFrameRateLimit.maximumCount = .max
        configuration.targetWindowSize = window
        return configuration
    }

    private static var streamConfiguration: NIOHTTP2Handler.StreamConfiguration {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.targetWindowSize = window
        configuration.outboundBufferSizeHighWatermark = 1 << 20
        configuration.outboundBufferSizeLowWatermark = 1 << 19
        return configuration
    }

    private static let window = 4 << 20

    func close() { channel.close(promise: nil) }

    /// One message there and one back, at `path` (`/service/Method`).
    ///
    /// Fails with an `EtcdError`; when the time is up the stream is reset, and etcd may have done it or not.
    func call(_ path: String, _ message: ByteBuffer, timeout: TimeAmount) -> EventLoopFuture<ByteBuffer> {
        let answer = channel.eventLoop.makePromise(of: ByteBuffer.self)
        let headers = HPACKHeaders([
            (":method", "POST"), (":scheme", scheme), (":path", path), (":authority", endpoint.description),
            ("content-type", "application/grpc"), ("te", "trailers"),
        ])
        let endpoint = endpoint
        let stream = channel.eventLoop.makePromise(of: (any Channel).self)
        streams.createStreamChannel(promise: stream) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    EtcdCallHandler(headers: headers, message: message, answer: answer, endpoint: endpoint))
            }
        }
        let timer = channel.eventLoop.scheduleTask(in: timeout) {
            answer.fail(
                EtcdError(.unanswered, "etcd at \(endpoint) did not answer in time; is it overloaded or cut off?"))
            stream.futureResult.whenSuccess { $0.close(promise: nil) }
        }
        stream.futureResult.whenFailure { error in
            answer.fail(EtcdError(.unanswered, "the connection to etcd at \(endpoint) broke", cause: error))
        }
        answer.futureResult.whenComplete { _ in timer.cancel() }
        return answer.futureResult
    }
}
