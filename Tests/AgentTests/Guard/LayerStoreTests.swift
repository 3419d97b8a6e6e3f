import Fleet
import Images
import LighterTesting
import NIOCore
import Testing

@testable import Agent

@Suite("Layers that are kept until their image is whole")
struct LayerStoreTests {
    private static let size = LayerStore.smallest

    private func digest(_ digit: Character) throws -> LayerDigest {
        try #require(LayerDigest("sha256:" + String(repeating: digit, count: 64)))
    }

    private func store(_ folder: ScratchFolder, _ node: String = "edge1", room: Bool = true) throws -> LayerStore {
        LayerStore(folder: folder.file("layers"), origin: try NodeID(node), hasRoom: { room })
    }

    @Test("are there after a restart, for the node that sent them and for no other")
    func restart() throws {
        let folder = try ScratchFolder()
        let layer = try digest("a")
        let first = try store(folder)
        #expect(first.kept().isEmpty)
        #expect(first.begin(layer, size: Self.size, kept: 0))
        first.append(ByteBuffer(string: "hello "))
        first.append(ByteBuffer(string: "world"))
        let second = try store(folder)
        #expect(second.kept() == [layer: 11])
        #expect(second.begin(layer, size: Self.size, kept: 8))
        #expect(second.read(at: 6, atMost: 2).map { String(buffer: $0) } == "wo")
        second.append(ByteBuffer(string: "rk"))
        #expect(second.read(at: 0, atMost: 20).map { String(buffer: $0) } == "hello workd")
        #expect(try store(folder, "edge2").kept().isEmpty)
        #expect(try !store(folder, "edge2").begin(layer, size: Self.size, kept: 1))
    }

    @Test("are not kept where they are small, and go when the engine has had them")
    func ends() throws {
        let folder = try ScratchFolder()
        let (one, other) = (try digest("a"), try digest("b"))
        let store = try store(folder)
        #expect(!store.begin(one, size: Self.size - 1, kept: 0))
        for layer in [one, other] {
            #expect(store.begin(layer, size: Self.size, kept: 0))
            store.append(ByteBuffer(string: "x"))
        }
        #expect(store.kept().count == 2)
        store.discard()
        #expect(store.kept().isEmpty)
    }

    @Test("do not fill a disk that has no room")
    func room() throws {
        let folder = try ScratchFolder()
        #expect(try !store(folder, room: false).begin(try digest("a"), size: Self.size, kept: 0))
        nonisolated(unsafe) var room = true
        let store = LayerStore(folder: folder.file("layers"), origin: try NodeID("edge1"), hasRoom: { room })
        #expect(store.begin(try digest("a"), size: 1 << 30, kept: 0))
        let piece = ByteBuffer(repeating: 1, count: 16 << 20)
        store.append(piece)
        #expect(store.kept().values.first == 16 << 20)
        room = false
        store.append(piece)
        #expect(store.kept().isEmpty)
    }

    @Test("are bounded, the oldest going first, and gone after a day")
    func sweep() throws {
        let folder = try ScratchFolder()
        let store = try store(folder)
        let now = 1e9
        for (index, digit) in "abc".enumerated() {
            #expect(store.begin(try digest(digit), size: Self.size, kept: 0))
            store.append(ByteBuffer(string: "12345"))
            Self.age("\(folder.file("layers"))/edge1/\(try digest(digit).hex)", Int(now) - 100 + index)
        }
        LayerStore.sweep(folder.file("layers"), now: now, limit: 10)
        #expect(Set(store.kept().keys) == [try digest("b"), try digest("c")])
        LayerStore.sweep(folder.file("layers"), now: now + LayerStore.lifetime - 98.5, limit: 10)
        #expect(Set(store.kept().keys) == [try digest("c")])
    }

    private static func age(_ path: String, _ seconds: Int) {
        let time = timespec(tv_sec: seconds, tv_nsec: 0)
        _ = [time, time].withUnsafeBufferPointer { utimensat(AT_FDCWD, path, $0.baseAddress, 0) }
    }
}

#if canImport(Glibc)
    import Glibc
#endif
