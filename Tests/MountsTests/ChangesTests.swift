import Glibc
import Testing

@testable import Mounts

@Suite(.timeLimit(.minutes(2)))
struct ChangesTests {
    @Test("A folder of very many names is looked at part by part, and what goes from it is missed")
    func manyNames() async throws {
        let rig = try Rig()
        try rig.origin.folder("all")
        for file in 0..<5000 { try rig.origin.write("all/\(file)", "text \(file)") }
        try await rig.live { live in
            try await live.synchronise()
            rig.expectSame()
            for file in 0..<20 { try rig.origin.remove("all/\(file * 100)") }
            try rig.target.remove("all/7")
            try rig.target.removeAll("all/8")
            try rig.target.folder("all/8")
            try rig.target.write("all/8/within", "a file became a folder")
            try rig.origin.write("all/9", "edited")
            try rig.origin.write("all/new", "new")
            try await live.synchronise()
            rig.expectSame()
            // Twenty-one have gone, and one is new.
            #expect(Disk(path: rig.origin.at("all")).names().count == 4980)
            #expect(rig.target.text("all/9") == "edited")
            #expect(rig.origin.text("all/8/within") == "a file became a folder")
        }
        try await rig.live { live in
            try await live.synchronise()
            for name in Disk(path: rig.target.at("all")).names().prefix(4970) {
                try rig.target.removeAll("all/\(name)")
            }
            try await live.synchronise()
            rig.expectSame()
            #expect(Disk(path: rig.origin.at("all")).names().count == 10)
        }
    }

    private static func started() async throws -> Rig {
        let rig = try Rig()
        try rig.origin.folder("folder")
        try rig.origin.write("folder/a", "a")
        try rig.origin.write("folder/b", "b")
        try rig.origin.write("c", "c")
        try await rig.synchronise()
        return rig
    }

    @Test("Deletes travel both ways, folders with all that is in them too")
    func deletes() async throws {
        let rig = try await Self.started()
        try rig.origin.removeAll("folder")
        try rig.target.remove("c")
        try rig.target.write("new", "n")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.names() == ["new"])
    }

    @Test("Changes reach the other side while both run, without being asked for")
    func live() async throws {
        let rig = try await Self.started()
        try await rig.live { live in
            try await live.synchronise()
            try rig.origin.write("folder/a", "from the origin")
            await live.until { rig.target.text("folder/a") == "from the origin" }
            try rig.target.write("folder/b", "from the target")
            await live.until { rig.origin.text("folder/b") == "from the target" }
            try rig.origin.folder("fresh")
            try rig.origin.write("fresh/x", "x")
            await live.until { rig.target.text("fresh/x") == "x" }
            try rig.target.write("fresh/y", "y")
            await live.until { rig.origin.text("fresh/y") == "y" }
            try rig.target.rename("fresh", to: "moved")
            await live.until { rig.origin.text("moved/y") == "y" && !rig.origin.exists("fresh") }
            try rig.target.write("moved/z", "z")
            await live.until { rig.origin.text("moved/z") == "z" }
            try rig.origin.remove("c")
            await live.until { !rig.target.exists("c") }
            try rig.origin.mode("folder/a", 0o600)
            await live.until { rig.target.status("folder/a")?.st_mode == rig.origin.status("folder/a")?.st_mode }
            try await live.synchronise()
            #expect(live.notices.all.isEmpty)
        }
        rig.expectSame()
    }

    @Test("What was written by the sync does not come back")
    func echo() async throws {
        let rig = try await Self.started()
        try await rig.live { live in
            try await live.synchronise()
            try rig.target.write("folder/a", "once")
            await live.until { rig.origin.text("folder/a") == "once" }
            try await live.synchronise()
            live.wire.reset()
            try await live.synchronise()
            // A probe and its answer.
            #expect(live.wire.bytes(from: .origin) + live.wire.bytes(from: .target) < 50)
        }
    }

    @Test("A file changed at both sides is kept twice and reported")
    func conflict() async throws {
        let rig = try await Self.started()
        try rig.origin.write("c", "the origin's")
        try rig.target.write("c", "the target's version")
        let notices = try await rig.live { live in
            try await live.synchronise()
            return live.notices.all
        }
        rig.expectSame()
        #expect(rig.origin.text("c") == "the origin's")
        let other = try #require(rig.origin.names().first { $0.hasPrefix("c.conflict-builder-") })
        #expect(rig.origin.text(other) == "the target's version")
        #expect(other.utf8.count == "c.conflict-builder-20260102T030405Z".utf8.count)
        #expect(notices == [.conflict(path: "c", keptAs: other)])
    }

    @Test("The same change at both sides is no conflict")
    func same() async throws {
        let rig = try await Self.started()
        for disk in [rig.origin, rig.target] {
            try disk.write("c", "alike")
            try disk.age("c", seconds: 1_500_000_000)
        }
        try rig.origin.age("folder/a", seconds: 1_400_000_000)
        try rig.target.age("folder/a", seconds: 1_300_000_000)
        let notices = try await rig.live { live in
            try await live.synchronise()
            return live.notices.all
        }
        rig.expectSame()
        #expect(notices.isEmpty)
        #expect(rig.target.status("folder/a")?.st_mtim.tv_sec == 1_400_000_000, "the device's metadata wins")
    }

    @Test("An edit wins over a delete, with the folders it needs")
    func edits() async throws {
        let rig = try await Self.started()
        try rig.origin.removeAll("folder")
        try rig.target.write("folder/a", "edited")
        try rig.origin.write("c", "edited too")
        try rig.target.remove("c")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.text("folder/a") == "edited")
        #expect(!rig.origin.exists("folder/b"))
        #expect(rig.target.text("c") == "edited too")
    }

    @Test("Where a folder meets a file, the origin's kind keeps the name and nothing is lost")
    func kinds() async throws {
        let rig = try await Self.started()
        try rig.origin.removeAll("folder")
        try rig.origin.write("folder", "a file now")
        try rig.target.write("folder/a", "edited")
        try rig.target.remove("c")
        try rig.target.folder("c")
        try rig.target.write("c/inner", "i")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.text("folder") == "a file now")
        #expect(rig.origin.text("c/inner") == "i")
        let aside = try #require(rig.origin.names().first { $0.hasPrefix("folder.conflict-") })
        #expect(rig.origin.text("\(aside)/a") == "edited")
    }

    @Test("Files become folders and links, and back")
    func turns() async throws {
        let rig = try await Self.started()
        try rig.origin.remove("c")
        try rig.origin.folder("c")
        try rig.origin.write("c/x", "x")
        try rig.target.removeAll("folder")
        try rig.target.link("folder", to: "c")
        try await rig.synchronise()
        rig.expectSame()
        try rig.target.removeAll("c")
        try rig.target.write("c", "again")
        try rig.origin.remove("folder")
        try rig.origin.folder("folder")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.text("c") == "again")
    }

    @Test("A container that may not write changes nothing at the device")
    func readOnly() async throws {
        let rig = try Rig { $0.isReadOnly = true }
        try rig.origin.write("file", "true")
        try await rig.synchronise()
        try await rig.live { live in
            try await live.synchronise()
            try rig.target.write("file", "false")
            try rig.target.write("extra", "e")
            await live.until { rig.target.text("file") == "true" && !rig.target.exists("extra") }
        }
        rig.expectSame()
        #expect(rig.origin.names() == ["file"])
    }
}
