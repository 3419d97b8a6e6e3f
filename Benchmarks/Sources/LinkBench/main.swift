// Figures of room Link over loopback: two processes, TLS 1.3 with both ends authenticated.
//
//   swift build -c release --product LinkBench && .build/release/LinkBench [quick]
//
// Prints echo latency, messages per second with 200 in flight on 200 streams, bulk GB/s, and bytes per idle stream.

import Authority
import Fleet
import Foundation
import Link
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Trust

let quiet = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
let loop = MultiThreadedEventLoopGroup.singleton.next()
let scale = CommandLine.arguments.contains("quick") ? 100 : 1
let directory = "\(NSTemporaryDirectory())link-bench-\(ProcessInfo.processInfo.processIdentifier)"

/// Writes what it reads until told (by a first byte `d`) to discard.
final class Echo: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var discards: Bool?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if discards == nil { discards = bytes.getInteger(at: bytes.readerIndex) == UInt8(ascii: "d") }
        if discards == false { context.write(data, promise: nil) }
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { context.close(promise: nil) }
    }
}

/// Keeps one 64-byte message in flight, and counts them.
final class Pinger: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let message = ByteBuffer(repeating: 1, count: 64)
    private var received = 0
    private var left: Int
    private let done: EventLoopPromise<[Int64]>
    private var sentAt = NIODeadline.now()
    private var times: [Int64] = []

    init(count: Int, done: EventLoopPromise<[Int64]>) {
        left = count
        self.done = done
        times.reserveCapacity(count)
    }

    func channelActive(context: ChannelHandlerContext) { send(context) }

    private func send(_ context: ChannelHandlerContext) {
        sentAt = .now()
        context.writeAndFlush(wrapOutboundOut(message), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += unwrapInboundIn(data).readableBytes
        guard received >= 64 else { return }
        received -= 64
        times.append((NIODeadline.now() - sentAt).nanoseconds)
        left -= 1
        if left > 0 { send(context) } else { done.succeed(times) }
    }
}

/// Keeps several messages in flight on one stream, and counts what comes back.
final class Pipeliner: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let message = ByteBuffer(repeating: 1, count: 64)
    private let inFlight: Int
    private var bytesLeft: Int
    private var messagesLeft: Int
    private var partial = 0
    private let done: EventLoopPromise<Void>

    init(inFlight: Int, count: Int, done: EventLoopPromise<Void>) {
        self.inFlight = inFlight
        bytesLeft = count * 64
        messagesLeft = count - inFlight
        self.done = done
    }

    func channelActive(context: ChannelHandlerContext) {
        for _ in 0..<inFlight { context.write(wrapOutboundOut(message), promise: nil) }
        context.flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let size = unwrapInboundIn(data).readableBytes
        bytesLeft -= size
        partial += size
        while partial >= 64 {
            partial -= 64
            guard messagesLeft > 0 else { continue }
            messagesLeft -= 1
            context.write(wrapOutboundOut(message), promise: nil)
        }
        if bytesLeft <= 0 { done.succeed(()) }
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }
}

/// Writes as fast as the stream takes it, then half-closes and waits for the peer's end.
final class Pusher: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let block = ByteBuffer(repeating: UInt8(ascii: "d"), count: 64 << 10)
    private var left: Int
    private let done: EventLoopPromise<Void>

    init(bytes: Int, done: EventLoopPromise<Void>) {
        left = bytes
        self.done = done
    }

    func channelActive(context: ChannelHandlerContext) { push(context) }
    func channelWritabilityChanged(context: ChannelHandlerContext) { push(context) }

    private func push(_ context: ChannelHandlerContext) {
        while left > 0, context.channel.isWritable {
            left -= block.readableBytes
            context.writeAndFlush(wrapOutboundOut(block), promise: nil)
            if left <= 0 { context.close(mode: .output, promise: nil) }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { done.succeed(()) }
    }
}

let acceptor: StreamAcceptor = { channel, _ in
    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo()) }
}

func serve(_ directory: String) async throws {
    let credentials = try Credentials.load(from: directory)
    let listener = try await Link.listen(
        on: "127.0.0.1", port: 0, tls: { try LinkTLS.server(credentials: credentials) }, group: loop, logger: quiet,
        accept: acceptor, connected: { _ in }
    ).get()
    try FileHandle.standardOutput.write(contentsOf: Data("\(listener.localAddress?.port ?? 0)\n".utf8))
    try await listener.closeFuture.get()
}

/// Opens a stream with a handler, and waits for what that promises.
func run<Result: Sendable>(
    _ link: LinkConnection, _ make: @escaping @Sendable (EventLoopPromise<Result>) -> any ChannelHandler
) async throws -> Result {
    let done = link.eventLoop.makePromise(of: Result.self)
    let stream = try await link.openStream { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(make(done)) }
    }.get()
    let result = try await done.futureResult.get()
    stream.close(promise: nil)
    return result
}

func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0) * 4096
}

func measure(_ link: LinkConnection) async throws {
    _ = try await run(link) { Pinger(count: 2000 / scale, done: $0) }
    let times = try await run(link) { Pinger(count: 20_000 / scale, done: $0) }.sorted()
    print("echo, 64 bytes: median \(times[times.count / 2] / 1000) us, 99 % \(times[times.count * 99 / 100] / 1000) us")

    for (streams, each) in [(1, 200), (200, 1)] {
        let count = 2_000_000 / scale
        let began = NIODeadline.now()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<streams {
                group.addTask {
                    try await run(link) { Pipeliner(inFlight: each, count: count / streams, done: $0) }
                }
            }
            try await group.waitForAll()
        }
        let seconds = Double((NIODeadline.now() - began).nanoseconds) / 1e9
        print("200 in flight on \(streams) streams: \(Int(Double(count) / seconds)) messages/s")
    }

    for _ in 0..<3 {
        let bytes = (4 << 30) / scale
        let began = NIODeadline.now()
        try await run(link) { Pusher(bytes: bytes, done: $0) }
        let seconds = Double((NIODeadline.now() - began).nanoseconds) / 1e9
        print("bulk: \((Double(bytes) / seconds / 1e7).rounded() / 100) GB/s; throughput says \(link.throughput / 1e9)")
    }

    let before = residentBytes()
    var open: [any Channel] = []
    for _ in 0..<2000 { open.append(try await link.openStream { $0.eventLoop.makeSucceededVoidFuture() }.get()) }
    _ = try await run(link) { Pinger(count: 10, done: $0) }
    print("an idle stream: \((residentBytes() - before) / open.count) bytes at this end")
}

func start() async throws {
    let authority = try CertificateAuthority.create(fleet: "bench")
    try authority.credentials(for: PeerIdentity(role: .gateway, tenant: .main)).save(to: directory)
    let credentials = try authority.credentials(
        for: PeerIdentity(role: .node(try NodeID("bench")), tenant: .main))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = ["serve", directory]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    defer {
        process.terminate()
        try? FileManager.default.removeItem(atPath: directory)
    }
    let line = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
    let port = Int(line.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    let link = try await Link.connect(
        to: SocketAddress(ipAddress: "127.0.0.1", port: port), tls: LinkTLS.client(credentials: credentials), on: loop,
        timeout: .seconds(5), logger: quiet, accept: acceptor
    ).get()
    try await measure(link)
    link.close(nil)
}

if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "serve" {
    try await serve(CommandLine.arguments[2])
} else {
    try await start()
}
