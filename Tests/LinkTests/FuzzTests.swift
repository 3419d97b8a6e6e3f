import NIOCore
import NIOEmbedded
import Testing

@testable import Link

/// A small generator with a seed, so that a failure can be played again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_f491_4f6c_dd1d
    }
}

@Suite("Random input")
struct FuzzTests {
    @Test("The decoder takes any bytes in any pieces, and tells the same however they are cut", arguments: 1...20)
    func decoder(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            var bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            // Mostly valid beginnings, or every run would end at the first byte.
            if bytes.count > 2, Bool.random(using: &random) { bytes.replaceSubrange(0..<2, with: [0, bytes[1] & 3]) }
            let whole = Self.summary(of: [bytes])
            let cut = Int.random(in: 0...bytes.count, using: &random)
            #expect(Self.summary(of: [Array(bytes[..<cut]), Array(bytes[cut...])]) == whole)
        }
    }

    private static func summary(of pieces: [[UInt8]]) -> [String] {
        var decoder = FrameDecoder()
        var told: [String] = []
        var payload: [UInt8] = []
        do {
            for piece in pieces {
                decoder.feed(ByteBuffer(bytes: piece))
                while let event = try decoder.next() {
                    switch event {
                    case .header(let frame): told.append("\(frame)")
                    case .payload(let bytes, _): payload += bytes.readableBytesView
                    }
                }
            }
        } catch { told.append("\(error)") }
        return told + ["\(payload)"]
    }

    @Test("A session survives any frames: it goes on, or ends with a reason", arguments: 1...40)
    func session(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let peer = try RawPeer(role: Bool.random(using: &random) ? .client : .server)
        defer { peer.finish() }
        let own = peer.link.openStream { $0.eventLoop.makeSucceededVoidFuture() }
        for _ in 0..<400 where !peer.isClosed {
            var frame = FrameHeader(
                kind: [.data, .data, .windowUpdate, .windowUpdate, .ping, .goAway].randomElement(using: &random)
                    ?? .ping,
                flags: FrameFlags(rawValue: UInt16.random(in: 0...15, using: &random)),
                stream: UInt32.random(in: 0...12, using: &random),
                length: UInt32.random(in: 0...300, using: &random))
            // Errors are rare enough that a session gets somewhere.
            if frame.kind == .goAway, Int.random(in: 0..<20, using: &random) != 0 { frame.kind = .ping }
            if frame.kind == .ping { frame.stream = 0 }
            var buffer = ByteBuffer()
            buffer.writeFrameHeader(frame)
            if frame.kind == .data { buffer.writeRepeatingByte(1, count: Int(frame.length)) }
            if Int.random(in: 0..<50, using: &random) == 0, buffer.readableBytes > 0 {
                buffer.setInteger(UInt8.random(in: 0...255, using: &random), at: buffer.readerIndex)
            }
            peer.send(Array(buffer.readableBytesView))
            if Bool.random(using: &random) { _ = try peer.sent() }
            if peer.isClosed { break }
            own.whenSuccess { stream in
                stream.writeAndFlush(ByteBuffer(repeating: 0, count: 100), promise: nil)
            }
        }
        if peer.isClosed { #expect(peer.closedBecause is LinkError) } else { #expect(peer.link.isActive) }
    }

    @Test("Two sessions with random users lose nothing and keep their order", arguments: 1...15)
    func users(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let pair = try MemoryPair(autoRead: false)
        var streams: [Ended] = []
        var written: [[UInt8]] = []
        for _ in 0..<300 {
            if streams.isEmpty || Int.random(in: 0..<10, using: &random) == 0 {
                streams.append(try pair.open())
                written.append([])
                streams[streams.count - 1].write(ByteBuffer(bytes: [UInt8(truncatingIfNeeded: streams.count - 1)]))
                written[streams.count - 1].append(UInt8(truncatingIfNeeded: streams.count - 1))
            }
            let index = Int.random(in: 0..<streams.count, using: &random)
            let size = Int.random(in: 0...(Bool.random(using: &random) ? 100 : 100_000), using: &random)
            let bytes = [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: size)
            written[index] += bytes
            streams[index].write(ByteBuffer(bytes: bytes))
            if Bool.random(using: &random) { try pair.pump() }
            if let reader = pair.accepted.randomElement(using: &random) { reader.read() }
        }
        for stream in streams { stream.channel.close(mode: .output, promise: nil) }
        for _ in 0..<2000 {
            for reader in pair.accepted where !reader.recorder.events.contains("input closed") { reader.read() }
            try pair.pump()
        }
        #expect(pair.accepted.count == streams.count)
        for reader in pair.accepted {
            let got = Array(reader.recorder.bytes.readableBytesView)
            let index = Int(got.first ?? 0)
            #expect(got == written[index])
            #expect(reader.recorder.events.contains("input closed"))
        }
    }
}
