import Foundation
import LighterTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import Images

/// Two ends of a packed stream, as an HTTP/2 connection's.
@Suite("A packed stream")
struct PackedStreamTests {
    /// Frames as a client sends them of a folder of so many files.
    private static func frames(_ count: Int, seed: UInt64 = 1) -> [ByteBuffer] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { number in
            frame(
                "folder\(number % 7)/file\(number)" + String(UInt64.random(in: 0 ... .max, using: &random), radix: 36))
        }
    }

    /// That a file has this name.
    private static func frame(_ name: String) -> ByteBuffer {
        let name = Array(name.utf8)
        let status = name.isEmpty ? [] : [0x0a, UInt8(name.count)] + name + [0x10, 0xa4, 0x83, 0x02]
        return message([0x12, UInt8(status.count)] + status)
    }

    /// With one message of gRPC.
    private static func message(_ bytes: [UInt8]) -> ByteBuffer {
        var payload = ByteBuffer(bytes: [0])
        payload.writeInteger(UInt32(bytes.count))
        payload.writeBytes(bytes)
        return frame(payload)
    }

    private static func frame(_ payload: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger(UInt8(payload.readableBytes >> 16))
        frame.writeInteger(UInt16(truncatingIfNeeded: payload.readableBytes))
        frame.writeRepeatingByte(0, count: 6)
        frame.writeImmutableBuffer(payload)
        return frame
    }

    private static func packed(_ pieces: [ByteBuffer], _ memory: ByteBuffer?) throws -> (ByteBuffer, PackedWriter) {
        let writer = try PackedWriter(memory: memory)
        var all = ByteBuffer()
        for piece in pieces {
            try writer.add(piece, keeps: piece.readableBytes < 1000)
            all.writeImmutableBuffer(try writer.flush())
        }
        return (all, writer)
    }

    private static func joined(_ pieces: [ByteBuffer]) -> ByteBuffer {
        pieces.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
    }

    private static func read(_ packed: ByteBuffer, _ reader: PackedReader, by count: Int) throws -> ByteBuffer {
        var (packed, out) = (packed, ByteBuffer())
        while packed.readableBytes > 0, let piece = packed.readSlice(length: min(count, packed.readableBytes)) {
            reader.add(piece)
            while let more = try reader.next() { out.writeImmutableBuffer(more) }
        }
        return out
    }

    @Test("is the same at its other end, and both ends remember the same of it", arguments: [1, 7, 1 << 20])
    func roundTrip(count: Int) throws {
        let noise = ByteBuffer(bytes: (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
        let pieces = Self.frames(300) + [noise] + Self.frames(20, seed: 2)
        for memory in [nil, Self.joined(Self.frames(300))] {
            let (packed, writer) = try Self.packed(pieces, memory)
            let reader = try PackedReader(memory: memory)
            #expect(try Self.read(packed, reader, by: count) == Self.joined(pieces))
            #expect(
                reader.kept == writer.kept && reader.kept == Self.joined(Self.frames(300) + Self.frames(20, seed: 2)))
        }
    }

    @Test("costs next to nothing where it says what was said before")
    func memory() throws {
        let frames = Self.frames(5000)
        let (first, writer) = try Self.packed([Self.joined(frames)], nil)
        #expect(first.readableBytes > 30_000)
        let again = try PackedWriter(memory: Self.joined(frames))
        try again.add(Self.joined(frames), keeps: true)
        #expect(try again.flush().readableBytes < 200)
        #expect(writer.kept.readableBytes == 0, "a piece of a file's content is not remembered")
    }

    @Test("is an error, or other bytes, never a trap, at an end that remembers something else, or where it was damaged")
    func damaged() throws {
        let memory = Self.joined(Self.frames(300))
        let (packed, _) = try Self.packed(Self.frames(300), memory)
        let forgetful = try PackedReader(memory: nil)
        #expect(throws: ImageError.self) { try Self.read(packed, forgetful, by: 1000) }
        var random = SeededGenerator(seed: 3)
        for _ in 0..<500 {
            var bytes = Array(packed.readableBytesView)
            for _ in 0..<3 {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? Self.read(ByteBuffer(bytes: bytes), try PackedReader(memory: memory), by: 1000)
        }
    }

    @Test("comes in small pieces however much is made of it, and is remembered within bounds")
    func bomb() throws {
        let zeros = ByteBuffer(repeating: 0, count: 32 << 20)
        let writer = try PackedWriter(memory: nil)
        try writer.add(zeros, keeps: true)
        let packed = try writer.flush()
        #expect(packed.readableBytes < 20_000)
        let reader = try PackedReader(memory: nil)
        reader.add(packed)
        var total = 0
        while let piece = try reader.next() {
            #expect(piece.readableBytes <= 256 << 10)
            total += piece.readableBytes
        }
        #expect(total == 32 << 20)
        #expect(reader.kept.readableBytes == PackedStream.memoryLimit)
        #expect(writer.kept.readableBytes == PackedStream.memoryLimit)
    }

    @Test("ends with its last word; frames of nothing and what follows the end are refused")
    func ends() throws {
        let reader = try PackedReader(memory: nil)
        reader.add(ByteBuffer(bytes: [0, 0, 0, 0, 1]))
        #expect(try reader.next() == nil && reader.end == nil)
        reader.add(ByteBuffer(bytes: [2]))
        #expect(try reader.next() == nil && reader.end == 258)
        reader.add(ByteBuffer(bytes: [0]))
        #expect(throws: ImageError.self) { try reader.next() }
        let other = try PackedReader(memory: nil)
        other.add(ByteBuffer(bytes: [0x80, 0]))
        #expect(throws: ImageError.self) { try other.next() }
    }

    @Test("remembers frames of HTTP/2 that are short, however they come", arguments: [1, 3, 100, 1 << 20])
    func runs(count: Int) {
        let long = Self.frame(ByteBuffer(repeating: 7, count: 2000))
        let preface = ByteBuffer(string: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        let packets = [[8, 1, 0x18, 1], [8, 2, 0x18, 1], [8, 3]].map { Self.message($0) }
        var all = Self.joined(
            [preface, Self.frame("a"), long, Self.frame("b"), packets[0], Self.frame(""), packets[1], packets[2], long])
        let wanted = all
        var runs = FrameRuns()
        var (kept, everything) = (ByteBuffer(), ByteBuffer())
        while all.readableBytes > 0, let piece = all.readSlice(length: min(count, all.readableBytes)) {
            for run in runs.split(piece) {
                everything.writeImmutableBuffer(run.bytes)
                if run.isKept { kept.writeImmutableBuffer(run.bytes) }
            }
        }
        #expect(everything == wanted)
        #expect(kept == Self.joined([preface, Self.frame("a"), Self.frame("b"), Self.frame(""), packets[2]]))
    }

    @Test("remembers no passwords, tokens and secrets, which sessions also carry")
    func secrets() {
        let secret = Array("\nsecret".utf8)
        let field = { (number: UInt8, value: [UInt8]) in [number << 3 | 2, UInt8(value.count)] + value }
        var padded = Self.frame("a")
        padded.setInteger(UInt8(8), at: padded.readerIndex + 4)
        let two = Self.message(field(2, [])), other = Self.message(field(1, secret))
        var both = Self.frame(ByteBuffer())
        both.setInteger(UInt16(two.readableBytes + other.readableBytes - 18), at: 1)
        for frame in [two, other] {
            both.writeImmutableBuffer(frame.getSlice(at: 9, length: frame.readableBytes - 9) ?? ByteBuffer())
        }
        let frames =
            [
                field(1, secret), field(1, Array("user".utf8)) + field(2, secret), field(2, secret),
                field(2, [0x0a, 2] + secret), field(2, [0x0a, 90] + secret), field(2, [0x0a]), [0x12, 0x80], [0x12],
                field(2, []) + field(1, secret), [8, 3] + field(1, secret), [],
            ].map { Self.message($0) } + [
                padded, both, Self.frame(ByteBuffer(bytes: secret)),
                Self.frame(ByteBuffer(bytes: [0, 0, 0, 0, 9, 0x12])),
            ]
        for frame in frames {
            var runs = FrameRuns()
            _ = runs.split(Self.frame("a"))
            let found = runs.split(frame)
            #expect(Self.joined(found.map(\.bytes)) == frame)
            #expect(found.allSatisfy { !$0.isKept }, "\(Array(frame.readableBytesView))")
        }
    }

    /// A frame of a kind, with flags.
    private static func frame(_ kind: UInt8, _ flags: UInt8, _ payload: [UInt8]) -> ByteBuffer {
        var frame = frame(ByteBuffer(bytes: payload))
        frame.setInteger(kind, at: 3)
        frame.setInteger(flags, at: 4)
        return frame
    }

    @Test("does not hurry with what nobody waits for, unless something else is said")
    func leisure() throws {
        let ping = Self.frame(6, 0, [UInt8](repeating: 1, count: 8))
        let leisurely = [ping, Self.frame(4, 1, []), Self.frame(8, 0, [0, 0, 0x10, 0])]
        let urgent = [
            Self.frame("a"), Self.frame(4, 0, []), Self.frame(8, 0, [0, 1, 0, 0]), Self.frame(3, 0, [0, 0, 0, 8]),
        ]
        for (frames, isUrgent) in [(leisurely, false), (urgent, true)] {
            for frame in frames {
                let side = try Side(.offering, nil)
                side.channel.writeAndFlush(frame, promise: nil)
                side.channel.embeddedEventLoop.advanceTime(by: .milliseconds(30))
                #expect((try side.channel.readOutbound(as: ByteBuffer.self) != nil) == isUrgent)
                #expect((try side.sent().readableBytes > 0) == !isUrgent)
            }
        }
        let side = try Side(.offering, nil)
        side.channel.writeAndFlush(ping, promise: nil)
        side.channel.writeAndFlush(urgent[0], promise: nil)
        side.channel.embeddedEventLoop.advanceTime(by: .milliseconds(2))
        let sent = try #require(try side.channel.readOutbound(as: ByteBuffer.self))
        #expect(try Side(.agreeing, nil).hear(sent) == Self.joined([ping, urgent[0]]))
    }

    @Test("lets few packets go at once, and many in common ones")
    func pace() {
        var pace = PackingPace.session
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        for _ in 0..<3 { #expect(pace.wait(start) == .milliseconds(2)) }
        #expect(pace.wait(start) == .milliseconds(20))
        #expect(pace.wait(start + .milliseconds(20)) == .milliseconds(20))
        #expect(pace.wait(start + .milliseconds(70)) == .milliseconds(2))
        // An idle time pays for what was more than there is room for.
        var progress = PackingPace.progress
        for _ in 0..<3 { _ = progress.wait(start) }
        #expect(progress.wait(start + .seconds(9)) == .milliseconds(2))
        let later = start + .seconds(9)
        for _ in 0..<3 { #expect(pace.wait(later) == .milliseconds(2)) }
        #expect(pace.wait(later) > .milliseconds(2))
    }

    /// An end on a channel, and what it told of its memory.
    private final class Side {
        var memory: ByteBuffer?
        let channel = EmbeddedChannel()

        init(_ end: PackedStreamHandler.End, _ memory: ByteBuffer?) throws {
            try channel.pipeline.syncOperations.addHandler(
                PackedStreamHandler(end, pulls: false, memory: memory) { [weak self] in self?.memory = $0 })
            channel.connect(to: try SocketAddress(unixDomainSocketPath: "x"), promise: nil)
        }

        func sent() throws -> ByteBuffer {
            var all = ByteBuffer()
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(50))
            while let bytes = try channel.readOutbound(as: ByteBuffer.self) { all.writeImmutableBuffer(bytes) }
            return all
        }

        func hear(_ bytes: ByteBuffer) throws -> ByteBuffer {
            try channel.writeInbound(bytes)
            var all = ByteBuffer()
            while let more = try channel.readInbound(as: ByteBuffer.self) { all.writeImmutableBuffer(more) }
            return all
        }
    }

    @Test(
        "leaves the same memory at both of its ends, of what both have heard; the next one is as short as that allows")
    func handlers() throws {
        var memory: ByteBuffer?
        var sizes: [Int] = []
        for _ in 0..<2 {
            let (device, node) = (try Side(.offering, memory), try Side(.agreeing, memory))
            let (files, asked, lost) = (Self.joined(Self.frames(3000)), Self.frame("asked"), Self.frame("lost"))
            device.channel.write(files, promise: nil)
            device.channel.flush()
            let sent = try device.sent()
            sizes.append(sent.readableBytes)
            #expect(try node.hear(sent) == files)
            node.channel.writeAndFlush(asked, promise: nil)
            #expect(try device.hear(try node.sent()) == asked)
            node.channel.writeAndFlush(lost, promise: nil)
            _ = try node.sent()
            device.channel.close(promise: nil)
            #expect(try node.hear(try device.sent()).readableBytes == 0)
            node.channel.close(promise: nil)
            #expect(device.memory == Self.joined([files, asked]))
            #expect(node.memory == device.memory)
            memory = device.memory
        }
        #expect(sizes[0] > 20_000 && sizes[1] < 200, "\(sizes)")
    }

    @Test("keeps nothing back where its channel closes", arguments: [CloseMode.all, .output])
    func closing(mode: CloseMode) throws {
        let node = try Side(.agreeing, nil)
        node.channel.writeAndFlush(Self.frame("bye"), promise: nil)
        #expect(try node.channel.readOutbound(as: ByteBuffer.self) == nil)
        node.channel.close(mode: mode, promise: nil)
        let sent = try #require(try node.channel.readOutbound(as: ByteBuffer.self))
        #expect(try Side(.offering, nil).hear(sent) == Self.frame("bye"))
    }

    @Test("leaves no memory where the other end did not have the last word, or is wrong about what it heard")
    func noMemory() throws {
        for last in [[], [0, 0, 0, 0, 0xff, 0xff]] as [[UInt8]] {
            let node = try Side(.agreeing, nil)
            node.channel.writeAndFlush(Self.frame("asked"), promise: nil)
            _ = try node.sent()
            _ = try node.hear(ByteBuffer(bytes: last))
            node.channel.close(promise: nil)
            #expect(node.memory == nil)
        }
    }

    /// Gives what it has as soon as it is asked, piece by piece, as streams of a link do.
    private final class Prompt: ChannelDuplexHandler {
        typealias InboundIn = ByteBuffer
        typealias InboundOut = ByteBuffer
        typealias OutboundIn = ByteBuffer
        var bytes: ByteBuffer
        init(_ bytes: ByteBuffer) { self.bytes = bytes }
        func read(context: ChannelHandlerContext) {
            guard bytes.readableBytes > 0, let piece = bytes.readSlice(length: min(3000, bytes.readableBytes)) else {
                return
            }
            context.fireChannelRead(wrapInboundOut(piece))
            context.fireChannelReadComplete()
        }
    }

    /// Asks for so many pieces, each from within the one before.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var heard = ByteBuffer()
        var left = 0
        func ask(_ count: Int, _ channel: any Channel) {
            left = count
            channel.read()
        }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            heard.writeImmutableBuffer(unwrapInboundIn(data))
            left -= 1
            if left > 0 { context.channel.read() }
        }
    }

    @Test("gives its reader what that asks for, and all of it, though more comes while it is being asked for")
    func pulled() throws {
        let noise = ByteBuffer(bytes: (0..<400_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
        let (packed, _) = try Self.packed([noise] + Self.frames(2000), nil)
        let (reader, channel) = (Reader(), EmbeddedChannel())
        let handler = try PackedStreamHandler(.agreeing, pulls: true, memory: nil) { _ in }
        try channel.pipeline.syncOperations.addHandlers([Prompt(packed), handler, reader])
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "x")).wait()
        reader.ask(2, channel)
        #expect(reader.left == 0 && (1...(512 << 10)).contains(reader.heard.readableBytes))
        reader.ask(.max, channel)
        #expect(reader.heard == Self.joined([noise] + Self.frames(2000)))
    }

    @Test("closes its channel where it is damaged")
    func closes() throws {
        let node = try Side(.agreeing, nil)
        #expect(throws: ImageError.self) { _ = try node.hear(ByteBuffer(bytes: [0x80, 3, 1, 2, 3])) }
        #expect(!node.channel.isActive)
    }
}
