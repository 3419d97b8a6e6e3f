import Compression
import NIOCore
import Testing

@testable import Mounts

struct EffortTests {
    @Test("It is compressed harder where the link holds a tree up, and not where the processor does")
    func links() {
        var slow = Effort(), fast = Effort()
        for _ in 0..<16 {
            slow.note(256 << 10, compressing: .milliseconds(1), sending: .milliseconds(20))
            fast.note(256 << 10, compressing: .milliseconds(1), sending: .milliseconds(2))
        }
        #expect(slow.level == .thorough)
        #expect(fast.level == .tree)
    }

    @Test("A processor that does not keep pace is not asked soon again")
    func busy() {
        var effort = Effort()
        var changes = 0
        for _ in 0..<400 {
            let before = effort.level
            let cost = before == .thorough ? 50 : 1
            effort.note(256 << 10, compressing: .milliseconds(cost), sending: .milliseconds(20))
            if effort.level != before { changes += 1 }
        }
        #expect((2...8).contains(changes))
        #expect(effort.level == .tree)
    }

    @Test("Edits do not keep a tree's memory")
    func edits() {
        var effort = Effort()
        for _ in 0..<16 { effort.note(256 << 10, compressing: .milliseconds(1), sending: .milliseconds(20)) }
        for _ in 0..<15 { effort.note(100, compressing: .zero, sending: .zero) }
        #expect(effort.level == .thorough)
        effort.note(100, compressing: .zero, sending: .zero)
        #expect(effort.level == .edits)
    }

    @Test("What comes out is what went in, whenever the effort changes")
    func frames() throws {
        var compressor = try EagerCompressor()
        let decompressor = try ZstdDecompressor()
        var noise = Noise(seed: 5)
        for turn in 0..<64 {
            let piece = ByteBuffer(
                bytes: (0..<(turn % 4 == 0 ? 300_000 : 200)).map { _ in UInt8.random(in: 0...9, using: &noise) })
            decompressor.add(try compressor.flush(piece))
            var found = ByteBuffer()
            while let part = try decompressor.next() { found.writeImmutableBuffer(part) }
            #expect(found == piece)
            compressor.note(
                turn % 16 < 8 ? 400_000 : 10, compressing: .milliseconds(1),
                sending: .milliseconds(turn % 32 < 16 ? 20 : 0))
        }
    }
}
