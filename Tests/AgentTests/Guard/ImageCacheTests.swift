import Engine
import Fleet
import Images
import LighterTesting
import Testing

@testable import Agent

@Suite("What Lighter brought to a node")
@NodeLoop
struct ImageCacheTests {
    private static func digest(_ digit: Character) throws -> LayerDigest {
        try #require(LayerDigest("sha256:" + String(repeating: digit, count: 64)))
    }

    @Test("is known after a restart: names, uses and pins, and what is gone is not")
    func memory() throws {
        let folder = try ScratchFolder()
        let (one, other, node) = (try Self.digest("a"), try Self.digest("b"), try NodeID("edge1"))
        let first = ImageCache(path: folder.file("brought"))
        first.put(one, name: "busybox:latest", at: 1000)
        first.used(one, at: 2000)
        first.pin(one, by: node, until: .infinity)
        first.pin(one, by: try NodeID("edge2"), until: 5000)
        first.put(other, at: 1000)
        first.forget(other)
        for _ in 0..<2 {
            let again = ImageCache(path: folder.file("brought"))
            #expect(again[one] == first[one])
            #expect(again[one]?.names == ["busybox:latest"] && again[one]?.usedAt == 2000)
            #expect(again[one]?.pinned(at: 6000) == .infinity)
            #expect(again[other] == nil)
        }
    }

    @Test("stays as it was when a line of the file is cut short or is none")
    func torn() throws {
        let folder = try ScratchFolder()
        let one = try Self.digest("a")
        let first = ImageCache(path: folder.file("brought"))
        first.put(one, at: 1000)
        TextFile.append("used \(one) x\nnonsense\n\nbrought sha256:12 4\npinned \(one)", to: folder.file("brought"))
        let again = ImageCache(path: folder.file("brought"))
        #expect(again.entries == [one: ImageCache.Entry(usedAt: 1000)])
        again.used(one, at: 3000)
        #expect(ImageCache(path: folder.file("brought"))[one]?.usedAt == 3000)
    }

    @Test("has a file that does not grow with each use")
    func bounded() throws {
        let folder = try ScratchFolder()
        let one = try Self.digest("a")
        let cache = ImageCache(path: folder.file("brought"))
        cache.put(one, at: 0)
        for minute in 1...2000 { cache.used(one, at: Double(minute) * 60) }
        let text = try #require(TextFile.read(folder.file("brought")))
        #expect(text.split(separator: "\n").count <= 80)
        cache.used(one, at: 120_030)
        #expect(cache[one]?.usedAt == 120_030)
        #expect(ImageCache(path: folder.file("brought"))[one]?.usedAt == 120_000)
    }

    @Test("is pinned until its last pin ends; a shorter pin takes nothing from a longer one")
    func pins() throws {
        let cache = ImageCache(path: nil)
        let (one, node, other) = (try Self.digest("a"), try NodeID("edge1"), try NodeID("edge2"))
        cache.put(one, at: 0)
        cache.pin(one, by: node, until: 100)
        cache.pin(one, by: node, until: 50)
        cache.pin(one, by: other, until: 60)
        #expect(cache[one]?.pinned(at: 70) == 100)
        #expect(cache[one]?.pinned(at: 100) == nil)
        cache.unpin(one, by: node)
        #expect(cache[one]?.pinned(at: 10) == 60)
    }

    @Test("Lighter's own doings cover the engine's events of them, and a moment after")
    func own() {
        var work = OwnWork()
        #expect(!work.covers("load", at: 0))
        work.begin("load")
        work.begin("load")
        work.end("load", at: 1)
        #expect(work.covers("load", at: 100))
        work.end("load", at: 100)
        #expect(work.covers("load", at: 104) && !work.covers("load", at: 106) && !work.covers("pull a", at: 100))
    }

    @Test(
        "Its bound is read as a part of the disk, a size, or off",
        arguments: [
            ("20%", ImageCacheBound.share(0.2)), ("5", .bytes(ByteCount(5))), ("off", .off), ("0", .bytes(.zero)),
            ("101%", nil), ("-1%", nil), ("x", nil),
        ])
    func bound(text: String, bound: ImageCacheBound?) {
        #expect(ImageCacheBound(text) { Int64($0).map { ByteCount($0) } } == bound)
    }

    @Test("A part of a disk that cannot be measured is no bound")
    func disk() {
        #expect(ImageCacheBound.share(0.2).bytes(dataRoot: "") == nil)
        #expect(ImageCacheBound.share(0.2).bytes(dataRoot: "/nonexistent") == nil)
        #expect(ImageCacheBound.share(0.5).bytes(dataRoot: "/") ?? 0 > 0)
        #expect(ImageCacheBound.bytes(ByteCount(7)).bytes(dataRoot: "") == 7)
        #expect(ImageCacheBound.off.bytes(dataRoot: "/") == nil)
    }
}
