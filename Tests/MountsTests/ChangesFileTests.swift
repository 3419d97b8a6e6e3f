import Glibc
import LighterTesting
import Testing

@testable import Mounts

/// What is remembered between sessions, written piece by piece.
@Suite(.timeLimit(.minutes(2)))
struct ChangesFileTests {
    private static func size(_ name: String, of rig: Rig) -> Int64 { Int64(rig.whole.status(name)?.st_size ?? -1) }

    @Test("An edit in a large tree writes little, and is remembered", arguments: [MountSide.origin, .target])
    func little(side: MountSide) async throws {
        let rig = try Rig()
        for file in 0..<2000 { try rig.origin.write("file \(file)", "text \(file)") }
        try await rig.synchronise()
        let whole = Self.size("base-\(side)", of: rig)
        let before = try #require(rig.whole.status("base-\(side)"))
        #expect(!rig.whole.exists("base-\(side).changes"))
        try await rig.live { live in
            try await live.synchronise()
            for turn in 0..<5 {
                let edited = side == .origin ? rig.origin : rig.target
                try edited.write("file 7", "edited \(turn)")
                try edited.remove("file \(100 + turn)")
                try await live.synchronise()
            }
        }
        rig.expectSame()
        #expect(rig.whole.status("base-\(side)")?.st_ino == before.st_ino, "the index was written anew")
        let changes = Self.size("base-\(side).changes", of: rig)
        #expect((1...whole / 20).contains(changes))

        // What each side then does by itself is told apart from what both did before.
        try rig.origin.remove("file 7")
        try rig.target.remove("file 8")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.names().count == 2000 - 5 - 2)
    }

    @Test("A change that was not written wholly counts as never written", arguments: [1, 20, 60])
    func torn(cut: Int) async throws {
        let rig = try Rig()
        try rig.origin.write("a", "a")
        try rig.origin.write("b", "b")
        try await rig.synchronise()
        try rig.origin.write("a", "newer")
        try await rig.synchronise()
        for side in [MountSide.origin, .target] {
            var bytes = try #require(rig.whole.read("base-\(side).changes"))
            bytes.removeLast(min(cut, bytes.count))
            try rig.whole.write("base-\(side).changes", bytes)
        }
        try rig.target.remove("b")
        try rig.target.write("a", "newest")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.names().contains("a"))
        #expect(!rig.origin.names().contains("b"))
    }

    @Test("Of a save of many changes all count or none")
    func tornWithin() async throws {
        let rig = try Rig()
        let long = String(repeating: "n", count: 200)
        for file in 0..<4000 { try rig.origin.write("keep \(file)", "text \(file)") }
        try rig.origin.folder("gone")
        for file in 0..<900 { try rig.origin.write("gone/\(file) \(long)", "text \(file)") }
        try await rig.synchronise()
        try rig.origin.removeAll("gone")
        try await rig.synchronise()
        for side in [MountSide.origin, .target] {
            var bytes = try #require(rig.whole.read("base-\(side).changes"))
            #expect(bytes.count > 150_000)
            bytes.removeLast(100)
            try rig.whole.write("base-\(side).changes", bytes)
        }
        try rig.target.write("keep 7", "edited")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.text("keep 7") == "edited")
        #expect(rig.origin.names().count == 4000)
    }

    @Test("Where another session has written the memory meanwhile, all of it is written anew")
    func replaced() async throws {
        let rig = try Rig()
        try rig.origin.write("a", "a")
        try await rig.synchronise()
        try await rig.live { live in
            try await live.synchronise()
            try rig.whole.write("other", "what another one wrote")
            try rig.whole.remove("base-origin")
            try rig.whole.rename("other", to: "base-origin")
            try rig.origin.write("new", "new")
            try await live.synchronise()
        }
        try rig.origin.remove("new")
        try rig.target.write("output", "made there")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.names() == ["a", "output"])
    }

    @Test("Changes of an index that has been replaced are none")
    func stale() async throws {
        let rig = try Rig()
        try rig.origin.write("a", "a")
        try await rig.synchronise()
        try rig.origin.write("b", "b")
        try await rig.synchronise()
        let changes = try #require(rig.whole.read("base-origin.changes"))
        try rig.whole.remove("base-origin")
        try await rig.synchronise()
        #expect(!rig.whole.exists("base-origin.changes"))
        try rig.whole.write("base-origin.changes", changes)
        try rig.target.remove("b")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.names() == ["a"])
    }

    @Test("Many changes, and many edits, are written as a whole from time to time")
    func compacted() async throws {
        let rig = try Rig()
        for file in 0..<50 { try rig.origin.write("file \(file)", "text \(file)") }
        try await rig.synchronise()
        for file in 0..<1000 { try rig.origin.write("new \(file)", "text \(file)") }
        try await rig.synchronise()
        #expect(!rig.whole.exists("base-origin.changes"))
        #expect(Self.size("base-origin", of: rig) > 90_000)
        let bound = Self.size("base-origin", of: rig)
        try await rig.live { live in
            for turn in 0..<12 {
                for file in 0..<200 { try rig.origin.write("new \(file)", "turn \(turn) \(file)") }
                try await live.synchronise()
            }
        }
        #expect(Self.size("base-origin.changes", of: rig) < bound)
        rig.expectSame()
    }
}
