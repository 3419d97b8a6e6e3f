import Glibc
import LighterTesting
import Testing

@testable import Mounts

struct ChunkerTests {
    private static func chunks(_ bytes: [UInt8]) throws -> [Chunk] {
        let scratch = try ScratchFolder()
        let disk = Disk(path: scratch.path)
        try disk.write("file", bytes)
        var reader = FileChunks(
            of: try Descriptor(open(disk.at("file"), O_RDONLY)), end: Int64(bytes.count), mean: Chunker.leastMean)
        var chunks: [Chunk] = []
        while let chunk = try reader.next() { chunks.append(chunk) }
        return chunks
    }

    @Test("Chunks cover a file, within their bounds, and an insertion changes few of them")
    func insertion() throws {
        let bytes = Noise(seed: 5).bytes(3 << 20)
        let before = try Self.chunks(bytes)
        #expect(before.reduce(0) { $0 + $1.length } == bytes.count)
        #expect(before.allSatisfy { $0.length <= Chunker.leastMean * 4 })
        #expect(before.dropLast().allSatisfy { $0.length >= Chunker.leastMean / 4 })
        #expect((20...120).contains(before.count))
        let after = try Self.chunks(Array("inserted".utf8) + bytes)
        let shared = Set(before.map(\.digest)).intersection(after.map(\.digest))
        #expect(shared.count >= before.count - 3)
    }

    @Test("Zeros are one kind of chunk, and large files have larger chunks")
    func zeros() throws {
        let chunks = try Self.chunks([UInt8](repeating: 0, count: 1 << 20))
        #expect(chunks.allSatisfy { $0.isZero })
        #expect(Chunker.mean(forSize: 1 << 30) == Chunker.leastMean)
        #expect((100 << 30) / Int64(Chunker.mean(forSize: 100 << 30)) <= 16 << 10)
    }
}
