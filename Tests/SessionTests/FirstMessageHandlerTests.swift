import NIOCore
import NIOEmbedded
import Testing
import Wire

@testable import Session

struct FirstMessageHandlerTests {
    private func open(_ purpose: String) throws -> [UInt8] {
        var open = Lighter_V1_StreamOpen()
        open.docker.purpose = purpose
        return try Framing.encode(open)
    }

    /// A channel whose stream is handed over once `ready` is kept.
    private func channel(_ ready: EventLoopFuture<Void>?, on loop: EmbeddedEventLoop) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel(loop: loop)
        try channel.pipeline.syncOperations.addHandler(
            FirstMessageHandler.streamOpen { _, _ in ready ?? loop.makeSucceededVoidFuture() })
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    @Test("The message may come byte by byte, and what follows it is passed on unchanged")
    func bytewise() throws {
        let loop = EmbeddedEventLoop()
        let channel = try channel(nil, on: loop)
        for byte in try open("create") { try channel.writeInbound(ByteBuffer(bytes: [byte])) }
        try channel.writeInbound(ByteBuffer(string: "GET /"))
        #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "GET /"))
        _ = try channel.finish()
    }

    @Test("Bytes and the end that come while the new owner gets ready wait for it, in order")
    func held() throws {
        let loop = EmbeddedEventLoop()
        let ready = loop.makePromise(of: Void.self)
        let channel = try channel(ready.futureResult, on: loop)
        try channel.writeInbound(ByteBuffer(bytes: try open("create") + Array("one ".utf8)))
        try channel.writeInbound(ByteBuffer(string: "two"))
        #expect(try channel.readInbound(as: ByteBuffer.self) == nil)
        ready.succeed()
        #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "one two"))
        try channel.writeInbound(ByteBuffer(string: " three"))
        #expect(try channel.readInbound(as: ByteBuffer.self) == ByteBuffer(string: " three"))
        _ = try channel.finish()
    }

    @Test(
        "A stream with a first message that is too long, or is none, is closed",
        arguments: [
            [UInt8](repeating: 0xff, count: 16), [0x81, 0x80, 0x04], [2, 0xff, 0xff],
        ])
    func malformed(bytes: [UInt8]) throws {
        let loop = EmbeddedEventLoop()
        let channel = try channel(nil, on: loop)
        #expect(throws: WireError.self) { try channel.writeInbound(ByteBuffer(bytes: bytes)) }
        #expect(!channel.isActive)
        _ = try? channel.finish()
    }

    @Test("A stream that says nothing is closed after ten seconds")
    func late() throws {
        let loop = EmbeddedEventLoop()
        let channel = try channel(nil, on: loop)
        try channel.writeInbound(ByteBuffer(bytes: try open("create").dropLast()))
        loop.advanceTime(by: .seconds(9))
        #expect(channel.isActive)
        loop.advanceTime(by: .seconds(2))
        #expect(!channel.isActive)
        _ = try? channel.finish()
    }
}
