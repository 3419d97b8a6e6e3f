import Fleet
import NIOCore
import NIOEmbedded
import Testing

@testable import Link

@Suite("Streams")
struct StreamTests {
    @Test("What is written at once travels with the opening")
    func opening() throws {
        let pair = try MemoryPair()
        try pair.pump()
        pair.sentByClient.clear()
        let stream = try pair.open()
        stream.write("hello")
        try pair.pump()
        #expect(pair.clientFrames.first == .data(1, .syn, length: 5))
        #expect(pair.accepted.first?.recorder.text == "hello")
        pair.accepted.first?.write("and back")
        try pair.pump()
        #expect(stream.recorder.text == "and back")
    }

    @Test("What the initializer wrote and what is written on becoming active goes once each, in order")
    func early() throws {
        final class Greeter: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            typealias OutboundOut = ByteBuffer

            func channelActive(context: ChannelHandlerContext) {
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "second ")), promise: nil)
            }
        }
        let pair = try MemoryPair()
        let opening = pair.client.openStream { channel in
            channel.writeAndFlush(ByteBuffer(string: "first "), promise: nil)
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Greeter())
            }
        }
        try opening.wait().writeAndFlush(ByteBuffer(string: "third"), promise: nil)
        try pair.pump()
        #expect(pair.accepted.first?.recorder.text == "first second third")
        #expect(pair.clientFrames.filter { $0.kind == .data }.map(\.length) == [18])
    }

    @Test("A stream without data is opened by the end of the tick")
    func silentOpening() throws {
        let pair = try MemoryPair()
        try pair.pump()
        pair.sentByClient.clear()
        _ = try pair.open()
        try pair.pump()
        #expect(pair.clientFrames.first == .windowUpdate(1, .syn, delta: 0))
        #expect(pair.accepted.count == 1)
    }

    @Test("Half-closure goes each way on its own, and the second closes the channels", arguments: [true, false])
    func halfClose(openerFirst: Bool) throws {
        let pair = try MemoryPair()
        let opener = try pair.open()
        try pair.pump()
        let acceptor = try #require(pair.accepted.first)
        let (first, second) = openerFirst ? (opener, acceptor) : (acceptor, opener)
        first.write("last words")
        let closing = first.channel.close(mode: .output)
        try pair.pump()
        try closing.wait()
        #expect(second.recorder.text == "last words")
        #expect(second.recorder.events == ["active", "input closed"])
        #expect(first.recorder.events == ["active", "output closed"])
        second.write("still answering")
        try pair.pump()
        #expect(first.recorder.text == "still answering")
        second.channel.close(mode: .output, promise: nil)
        try pair.pump()
        #expect(first.recorder.events.suffix(2) == ["input closed", "inactive"])
        #expect(second.recorder.events.last == "inactive")
        try first.channel.closeFuture.wait()
        try second.channel.closeFuture.wait()
    }

    @Test("Where half-closure is not allowed, the peer's end closes the channel")
    func noHalfClosure() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        try stream.channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
        try pair.pump()
        pair.accepted.first?.channel.close(mode: .output, promise: nil)
        try pair.pump()
        #expect(stream.recorder.events == ["active", "inactive"])
        #expect(pair.accepted.first?.recorder.events.last == "inactive")
    }

    @Test("Closing drops nothing, although the peer's window is smaller than what was written")
    func closeDropsNothing() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        stream.write(ByteBuffer(repeating: 7, count: 3 << 20))
        stream.channel.close(promise: nil)
        #expect(!stream.channel.isActive)
        try pair.pump()
        let acceptor = try #require(pair.accepted.first)
        #expect(acceptor.recorder.bytes.readableBytes == 3 << 20)
        #expect(acceptor.recorder.events == ["active", "input closed"])
    }

    @Test("A peer that keeps its half after a whole close is reset after the linger time")
    func linger() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        try pair.pump()
        stream.channel.close(promise: nil)
        try pair.pump()
        let acceptor = try #require(pair.accepted.first)
        #expect(acceptor.channel.isActive)
        pair.loop.advanceTime(by: .seconds(4))
        try pair.pump()
        #expect(acceptor.recorder.events == ["active", "input closed"])
        pair.loop.advanceTime(by: .seconds(2))
        try pair.pump()
        #expect(acceptor.recorder.events == ["active", "input closed", "inactive"])
        #expect((acceptor.recorder.errors.first as? LinkError)?.code == .streamReset)
    }

    @Test("A silent peer ends the link after the keep-alive's timeout, an answering one does not")
    func keepAlive() throws {
        let pair = try MemoryPair()
        _ = try pair.open()
        for _ in 0..<10 {
            pair.loop.advanceTime(by: .seconds(5))
            try pair.pump()
        }
        #expect(pair.client.isActive)
        #expect(pair.client.rtt != nil)
        for _ in 0..<3 { pair.loop.advanceTime(by: .seconds(5)) }
        #expect(!pair.client.isActive)
        #expect { try pair.client.closed.wait() } throws: { ($0 as? LinkError)?.code == .timedOut }
    }

    @Test("A ping that was never answered does not keep a link whose peer falls silent later")
    func lostPing() throws {
        let pair = try MemoryPair()
        pair.loop.run()
        // The first ping is lost; the frames behind it come whole.
        let lost = try #require(try pair.clientChannel.readOutbound(as: ByteBuffer.self))
        #expect(lost.readableBytes == 12)
        _ = try pair.open()
        for _ in 0..<6 {
            pair.loop.advanceTime(by: .seconds(5))
            try pair.pump()
        }
        #expect(pair.client.isActive)
        for _ in 0..<4 { pair.loop.advanceTime(by: .seconds(5)) }
        #expect(!pair.client.isActive)
    }

    @Test(
        "A link without streams is pinged every few minutes by who dialled; who opens one finds a silent peer in time")
    func idlePings() throws {
        let pair = try MemoryPair()
        try pair.pump()
        let before = pair.clientFrames.count
        for _ in 0..<720 {
            pair.loop.advanceTime(by: .seconds(5))
            try pair.pump()
        }
        let frames = pair.clientFrames.dropFirst(before)
        #expect((15...16).contains(frames.count), "\(frames)")
        // The other end hears that and has nothing to ask.
        #expect(frames.allSatisfy { $0.kind == .ping && $0.flags.contains(.syn) })
        pair.loop.advanceTime(by: .seconds(30))
        try pair.pump()
        _ = try pair.open()
        for _ in 0..<3 where pair.client.isActive { pair.loop.advanceTime(by: .seconds(5)) }
        #expect(!pair.client.isActive)
    }

    @Test("A link at rest that is asked ends where nobody answers, and is not asked where something was heard just now")
    func askedAtRest() throws {
        let pair = try MemoryPair()
        try pair.pump()
        let before = pair.clientFrames.count
        pair.client.askIfQuiet()
        try pair.pump()
        #expect(pair.clientFrames.count == before)
        pair.loop.advanceTime(by: .seconds(30))
        pair.client.askIfQuiet()
        try pair.pump()
        #expect(pair.clientFrames.count == before + 1)
        pair.loop.advanceTime(by: .seconds(30))
        #expect(pair.client.isActive)
        pair.client.askIfQuiet()
        for _ in 0..<3 where pair.client.isActive { pair.loop.advanceTime(by: .seconds(5)) }
        #expect(!pair.client.isActive)
    }

    @Test("A peer that speaks by itself is not pinged before it is late")
    func expectedWords() throws {
        let pair = try MemoryPair()
        pair.client.expectWord(every: .seconds(12))
        let stream = try pair.open()
        try pair.pump()
        let accepted = try #require(pair.accepted.first)
        let before = pair.sentByClient.readableBytes
        for _ in 0..<12 {
            pair.loop.advanceTime(by: .seconds(10))
            accepted.write("x")
            try pair.pump()
        }
        _ = stream
        // Only answers to the pings of the other end, which hears nothing.
        let frames = (pair.sentByClient.readableBytes - before) / 12
        #expect(frames <= 24, "\(frames)")
        // Once it is asked, what it may take to answer is no longer than of any other.
        for _ in 0..<4 where pair.client.isActive { pair.loop.advanceTime(by: .seconds(5)) }
        #expect(!pair.client.isActive)
    }

    @Test("A peer that is heard anyway is pinged a third as often, and still found silent in time")
    func seldomPings() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        try pair.pump()
        let accepted = try #require(pair.accepted.first)
        let before = pair.sentByClient.readableBytes
        for _ in 0..<15 {
            pair.loop.advanceTime(by: .seconds(4))
            accepted.write("x")
            stream.write("y")
            try pair.pump()
        }
        // What is not data is a frame of 12 bytes for each ping, and for each that is answered.
        let frames = (pair.sentByClient.readableBytes - before - 15 * 13) / 12
        #expect((6...10).contains(frames), "\(frames)")
        for _ in 0..<5 where pair.client.isActive { pair.loop.advanceTime(by: .seconds(4)) }
        #expect(!pair.client.isActive)
    }

    @Test("A reset ends both directions, and unsent writes fail")
    func reset() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        try pair.pump()
        let acceptor = try #require(pair.accepted.first)
        let doomed = acceptor.channel.writeAndFlush(ByteBuffer(repeating: 1, count: 1 << 20))
        stream.channel.triggerUserOutboundEvent(ResetStream(), promise: nil)
        try pair.pump()
        #expect(acceptor.recorder.events.last == "inactive")
        #expect((acceptor.recorder.errors.first as? LinkError)?.code == .streamReset)
        #expect(throws: LinkError.self) { try doomed.wait() }
        #expect(pair.client.isActive && pair.server.isActive)
    }

    @Test("A refused stream is reset; the link stays")
    func refused() throws {
        let pair = try MemoryPair(refuse: true)
        let stream = try pair.open()
        stream.write("anybody?")
        try pair.pump()
        #expect((stream.recorder.errors.first as? LinkError)?.code == .streamReset)
        #expect(pair.client.isActive)
    }

    @Test("A channel that does not read stops its peer after one window, and nobody else")
    func slowReader() throws {
        let pair = try MemoryPair(autoRead: false)
        let slow = try pair.open()
        slow.write(ByteBuffer(repeating: 1, count: 1 << 20))
        try pair.pump()
        let sent = pair.clientFrames.filter { $0.kind == .data && $0.stream == 1 }.reduce(0) { $0 + Int($1.length) }
        #expect(sent == 256 << 10)
        #expect(!slow.channel.isWritable)
        #expect(pair.accepted[0].recorder.reads == 0)

        let other = try pair.open()
        other.write("passing by")
        try pair.pump()
        pair.accepted[1].read()
        try pair.pump()
        #expect(pair.accepted[1].recorder.text == "passing by")

        while pair.accepted[0].recorder.bytes.readableBytes < 1 << 20 {
            let before = pair.accepted[0].recorder.bytes.readableBytes
            pair.accepted[0].read()
            try pair.pump()
            try #require(pair.accepted[0].recorder.bytes.readableBytes > before)
        }
        #expect(slow.channel.isWritable)
        #expect(slow.recorder.events == ["active", "unwritable", "writable"])
    }

    @Test("One read() delivers a bounded amount")
    func boundedRead() throws {
        let pair = try MemoryPair(autoRead: false)
        let stream = try pair.open()
        stream.write(ByteBuffer(repeating: 1, count: 256 << 10))
        try pair.pump()
        let acceptor = pair.accepted[0]
        acceptor.read()
        #expect((1..<256 << 10).contains(acceptor.recorder.bytes.readableBytes))
    }

    @Test("Streams take turns: a short one is not held up by a long one")
    func fairness() throws {
        let pair = try MemoryPair()
        try pair.pump()
        pair.sentByClient.clear()
        let long = try pair.open()
        let short = try pair.open()
        long.write(ByteBuffer(repeating: 1, count: 200 << 10))
        short.write(ByteBuffer(repeating: 2, count: 20 << 10))
        try pair.pump()
        let data = pair.clientFrames.filter { $0.kind == .data }
        #expect(data.prefix(4).map(\.stream) == [1, 3, 1, 3])
        #expect(data.allSatisfy { $0.length <= 64 << 10 })
    }

    @Test("Small writes of many streams leave as one write to the connection")
    func coalescing() throws {
        let pair = try MemoryPair()
        let streams = try (0..<100).map { _ in try pair.open() }
        try pair.pump()
        for stream in streams { stream.write("tick") }
        pair.loop.run()
        let first = try #require(try pair.clientChannel.readOutbound(as: ByteBuffer.self))
        #expect(first.readableBytes == 100 * 16)
        #expect(try pair.clientChannel.readOutbound(as: ByteBuffer.self) == nil)
    }

    @Test("Nothing is pushed into a connection that takes no more")
    func parentWritability() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        try pair.pump()
        pair.clientChannel.isWritable = false
        stream.write("later")
        pair.loop.run()
        #expect(try pair.clientChannel.readOutbound(as: ByteBuffer.self) == nil)
        pair.clientChannel.isWritable = true
        pair.clientChannel.pipeline.fireChannelWritabilityChanged()
        try pair.pump()
        #expect(pair.accepted[0].recorder.text == "later")
    }

    @Test("Five hundred streams open at once, although the peer's backlog is smaller")
    func manyStreams() throws {
        var configuration = LinkConfiguration()
        configuration.acceptBacklog = 64
        let pair = try MemoryPair(configuration)
        let streams = try (0..<500).map { _ in try pair.open() }
        for (index, stream) in streams.enumerated() { stream.write("I am \(index)") }
        try pair.pump()
        #expect(pair.accepted.count == 500)
        #expect(Set(pair.accepted.map(\.recorder.text)) == Set((0..<500).map { "I am \($0)" }))
        for stream in streams { stream.channel.close(promise: nil) }
        for stream in pair.accepted { stream.channel.close(promise: nil) }
        try pair.pump()
        #expect(try pair.clientChannel.pipeline.syncOperations.handler(type: LinkHandler.self).channels.isEmpty)
        #expect(try pair.serverChannel.pipeline.syncOperations.handler(type: LinkHandler.self).session.streams.isEmpty)
    }

    @Test("More streams than the link may have are refused at once")
    func limit() throws {
        var configuration = LinkConfiguration()
        configuration.maximumStreams = 2
        let pair = try MemoryPair(configuration)
        let first = try pair.open()
        _ = try pair.open()
        try pair.pump()
        #expect { try pair.open() } throws: { ($0 as? LinkError)?.code == .tooManyStreams }
        first.channel.close(promise: nil)
        pair.accepted[0].channel.close(promise: nil)
        try pair.pump()
        _ = try pair.open()
    }

    @Test("Bulk arrives whole and in order, and the window grows with it")
    func bulk() throws {
        let pair = try MemoryPair()
        try pair.pump()
        let stream = try pair.open()
        var numbers = ByteBuffer()
        for block in 0..<UInt8(64) { numbers.writeRepeatingByte(block, count: 300_007) }
        stream.write(numbers)
        stream.channel.close(mode: .output, promise: nil)
        try pair.pump()
        #expect(pair.accepted[0].recorder.bytes == numbers)
        #expect(pair.accepted[0].recorder.events == ["active", "input closed"])
    }

    @Test("A link that holds too much resets the stream that holds most")
    func memoryBound() throws {
        var configuration = LinkConfiguration()
        configuration.memoryBound = .kibibytes(512)
        let pair = try MemoryPair(configuration, autoRead: false)
        let streams = try (0..<4).map { _ in try pair.open() }
        for stream in streams { stream.write(ByteBuffer(repeating: 1, count: 200 << 10)) }
        try pair.pump()
        let reset = streams.filter { !$0.channel.isActive }
        #expect(reset.count == 2)
        #expect(pair.client.isActive && pair.server.isActive)
        #expect(pair.accepted.count { ($0.recorder.errors.first as? LinkError)?.code == .memoryExceeded } == 2)
    }

    @Test("Closing a link says go-away, and both ends learn why")
    func closeLink() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        try pair.pump()
        pair.client.close(nil)
        try pair.pump()
        try pair.clientChannel.closeFuture.wait()
        pair.serverChannel.close(promise: nil)
        try pair.pump()
        try pair.client.closed.wait()
        #expect { try pair.server.closed.wait() } throws: { ($0 as? LinkError)?.code == .peerWentAway }
        #expect(stream.recorder.events.last == "inactive")
        #expect(pair.accepted[0].recorder.events.last == "inactive")
        #expect { try pair.open() } throws: { ($0 as? LinkError)?.code == .closed }
        #expect(!pair.client.isActive)
    }

    @Test("Streams have no bytes for a channel that is not asked with ByteBuffer")
    func wrongType() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        #expect(throws: ChannelError.operationUnsupported) { try stream.channel.writeAndFlush("text").wait() }
        #expect(throws: ChannelError.operationUnsupported) {
            try stream.channel.bind(to: SocketAddress(unixDomainSocketPath: "/x")).wait()
        }
    }

    @Test("An empty write completes after what was written before it")
    func emptyWrite() throws {
        let pair = try MemoryPair()
        let stream = try pair.open()
        stream.write(ByteBuffer(repeating: 1, count: 300 << 10))
        let done = stream.channel.writeAndFlush(ByteBuffer())
        pair.loop.run()
        let before = pair.sentByClient.readableBytes
        #expect(before == 0)
        try pair.pump()
        try done.wait()
        #expect(pair.accepted[0].recorder.bytes.readableBytes == 300 << 10)
    }
}
