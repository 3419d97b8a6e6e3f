import NIOCore
import Testing

@testable import Link

@Suite("Frames")
struct FrameTests {
    /// Written by hand from the specification's table: version, type, flags, stream id, length.
    static let vectors: [(FrameHeader, [UInt8])] = [
        (.data(1, .syn, length: 5), [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5]),
        (.data(0x0102_0304, length: 0x0a0b_0c0d), [0, 0, 0, 0, 1, 2, 3, 4, 0x0a, 0x0b, 0x0c, 0x0d]),
        (.data(2, .fin, length: 0), [0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 0]),
        (.windowUpdate(7, .ack, delta: 262_144), [0, 1, 0, 2, 0, 0, 0, 7, 0, 4, 0, 0]),
        (.windowUpdate(9, .rst, delta: 0), [0, 1, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0]),
        (.ping(0xdead_beef, .syn), [0, 2, 0, 1, 0, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef]),
        (.ping(1, .ack), [0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]),
        (.goAway(.normal), [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (.goAway(.protocolError), [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        (.goAway(.internalError), [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]),
    ]

    @Test("A header is written as the specification lays it out", arguments: vectors)
    func writes(_ frame: FrameHeader, _ bytes: [UInt8]) {
        var buffer = ByteBuffer()
        buffer.writeFrameHeader(frame)
        #expect(Array(buffer.readableBytesView) == bytes)
    }

    @Test("A header is read as the specification lays it out", arguments: vectors)
    func reads(_ frame: FrameHeader, _ bytes: [UInt8]) throws {
        var decoder = FrameDecoder()
        decoder.feed(ByteBuffer(bytes: bytes))
        #expect(try decoder.next() == .header(frame))
        #expect(try decoder.next() == nil)
    }

    @Test("Any split of the bytes gives the same frames", arguments: 1...40)
    func splits(size: Int) throws {
        var stream = ByteBuffer()
        let payload = [UInt8](0..<100)
        for (frame, _) in Self.vectors where frame.kind != .data || frame.length == 0 { stream.writeFrameHeader(frame) }
        stream.writeFrameHeader(.data(3, length: 100))
        stream.writeBytes(payload)
        stream.writeFrameHeader(.ping(5, .syn))
        var decoder = FrameDecoder()
        var frames: [FrameHeader] = []
        var bytes: [UInt8] = []
        var ends = 0
        while let piece = stream.readSlice(length: min(size, stream.readableBytes)), piece.readableBytes > 0 {
            decoder.feed(piece)
            while let event = try decoder.next() {
                switch event {
                case .header(let frame): frames.append(frame)
                case .payload(let piece, let last):
                    bytes += piece.readableBytesView
                    if last { ends += 1 }
                }
            }
        }
        #expect(frames.count == 10)
        #expect(frames.last == .ping(5, .syn))
        #expect(bytes == payload)
        #expect(ends == 1)
    }

    @Test("Another version is refused")
    func version() {
        var decoder = FrameDecoder()
        decoder.feed(ByteBuffer(bytes: [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]))
        #expect(throws: FrameDecoder.Malformed.version(1)) { try decoder.next() }
    }

    @Test("An unknown kind is refused")
    func kind() {
        var decoder = FrameDecoder()
        decoder.feed(ByteBuffer(bytes: [0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]))
        #expect(throws: FrameDecoder.Malformed.kind(4)) { try decoder.next() }
    }

    @Test("A frame that claims 4 GiB costs nothing until the bytes are there")
    func claims() throws {
        var decoder = FrameDecoder()
        decoder.feed(ByteBuffer(bytes: [0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 42]))
        #expect(try decoder.next() == .header(.data(1, length: .max)))
        #expect(try decoder.next() == .payload(ByteBuffer(bytes: [42]), last: false))
        #expect(try decoder.next() == nil)
    }
}
