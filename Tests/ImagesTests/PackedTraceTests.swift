import Compression
import Foundation
import LighterTesting
import NIOCore
import Testing

@testable import Images

@Suite("What is told of a build, packed")
struct PackedTraceTests {
    private static let lines =
        [
            #"{"id":"moby.buildkit.trace","aux":"AAEC"}"#, #"{"id":"moby.buildkit.trace","aux":""}"#,
            #"{"id":"moby.buildkit.trace","aux":"AAE"}"#, #"{"id":"moby.buildkit.trace","aux":"AAF="}"#,
            #"{"id":"moby.image.id","aux":{"ID":"sha256:1"}}"#, #"{"errorDetail":{"message":"x"},"error":"x"}"#, "",
        ].map { ByteBuffer(string: $0 + "\r\n") } + [
            ByteBuffer(string: #"{"id":"moby.buildkit.trace","aux":"AAEC"}\#n"#)
        ]

    @Test("is the same when it is unpacked, whatever a line says", arguments: [1, 1000])
    func roundTrip(count: Int) throws {
        let (packer, unpacker) = (try TracePacker(), try TraceUnpacker())
        var found: [ByteBuffer] = []
        for line in Self.lines {
            packer.add(line)
            var packed = try packer.flush()
            while packed.readableBytes > 0, let piece = packed.readSlice(length: min(count, packed.readableBytes)) {
                unpacker.add(piece)
                while let line = try unpacker.next() { found.append(line) }
            }
            #expect(found.last == line, "nothing waits for what comes later")
        }
        #expect(found == Self.lines)
    }

    /// A line with a message that has these bytes as a field.
    private static func line(_ field: UInt8, _ bytes: [UInt8]) -> ByteBuffer {
        var length: [UInt8] = []
        var count = bytes.count
        repeat {
            length.append(UInt8(count & 0x7f) | (count > 0x7f ? 0x80 : 0))
            count >>= 7
        } while count > 0
        let status = Data([field << 3 | 2] + length + bytes).base64EncodedString()
        return ByteBuffer(string: #"{"id":"moby.buildkit.trace","aux":"\#(status)"}"# + "\r\n")
    }

    @Test("leaves steps in memory, and nothing of what they print")
    func remembered() throws {
        let (packer, unpacker) = (try TracePacker(), try TraceUnpacker())
        let secret = Array("a secret that a step prints".utf8)
        let lines =
            [Self.line(1, Array("a step".utf8)), Self.line(3, secret), Self.line(4, secret), Self.line(9, secret)]
            + Self.lines
            + [Self.line(2, Array("how it goes on".utf8))]
        for line in lines { packer.add(line) }
        unpacker.add(try packer.flush())
        for line in lines { #expect(try unpacker.next() == line) }
        #expect(unpacker.kept == packer.kept)
        let text = String(buffer: packer.kept)
        #expect(text.contains("a step") && text.contains("how it goes on") && !text.contains("secret"))
    }

    @Test("costs less where both ends remember the one before")
    func memory() throws {
        var random = SeededGenerator(seed: 4)
        var noise = ""
        for _ in 0..<500 { noise += String(UInt64.random(in: 0 ... .max, using: &random), radix: 36) }
        let line = Self.line(1, Array(noise.utf8))
        var memory: ByteBuffer?
        var sizes: [Int] = []
        for _ in 0..<2 {
            let (packer, unpacker) = (try TracePacker(memory: memory), try TraceUnpacker(memory: memory))
            packer.add(line)
            let packed = try packer.flush()
            sizes.append(packed.readableBytes)
            unpacker.add(packed)
            #expect(try unpacker.next() == line)
            #expect(unpacker.kept == packer.kept && packer.isKnown == (memory != nil))
            memory = packer.kept
        }
        #expect(sizes[0] > 3000 && sizes[1] < 50, "\(sizes)")
        let (isWanted, name) = PackedTrace.read(PackedTrace.offer(memory))
        #expect(isWanted && name == memory.map { ContextFrame.digest(of: $0) })
        #expect(PackedTrace.read(PackedTrace.offer(nil)) == (true, nil) && !PackedTrace.read("x").isWanted)
    }

    @Test("is refused where a record is none")
    func refused() throws {
        for record in [
            [9, 0, 0, 0, 1], [1, 0xff, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0x78],
        ] as [[UInt8]] {
            let unpacker = try TraceUnpacker()
            unpacker.add(try ZstdCompressor().flush(ByteBuffer(bytes: record)))
            #expect(throws: ImageError.self) { try unpacker.next() }
        }
    }
}
