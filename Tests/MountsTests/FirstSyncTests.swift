import Fleet
import Glibc
import Testing

@testable import Mounts

struct FirstSyncTests {
    static func fill(_ disk: Disk) throws {
        try disk.write("plain", "hello")
        try disk.write("empty", "")
        try disk.write("script", "#!/bin/sh\n")
        try disk.mode("script", 0o755)
        try disk.write("secret", "s")
        try disk.mode("secret", 0o400)
        try disk.age("plain", seconds: 1_000_000_000)
        try disk.folder("folder")
        try disk.folder("folder/deep")
        try disk.write("folder/deep/file", "deep")
        try disk.folder("bare")
        try disk.mode("bare", 0o1770)
        try disk.link("link", to: "plain")
        try disk.link("dangling", to: "/nowhere/at all")
        try disk.write("one name", "twice")
        try disk.hardLink("folder/other name", to: "one name")
        try disk.write("tagged", "t")
        try disk.attribute("tagged", "user.color", "red")
        try disk.attribute("folder", "user.kind", "f")
        for name in ["caf\u{e9}", "cafe\u{301}", "-dash", "new\nline", "star*", ".hidden", "日本"] {
            try disk.write(name, "odd \(name)")
        }
        try disk.write("large", Noise(seed: 7).bytes(300_000))
        let file = open(disk.at("sparse"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        defer { close(file) }
        ftruncate(file, 4 << 20)
        pwrite(file, "end", 3, 2 << 20)
    }

    @Test("A tree of every kind of thing arrives as it is")
    func mixed() async throws {
        let rig = try Rig()
        try Self.fill(rig.origin)
        try await rig.synchronise()
        #expect(rig.target.names().count > 15)
        rig.expectSame()
        let sparse = try #require(rig.target.status("sparse"))
        #expect(sparse.st_size == 4 << 20)
        #expect(sparse.st_blocks * 512 < 1 << 16, "holes stay holes")
        #expect(rig.target.status("one name")?.st_ino == rig.target.status("folder/other name")?.st_ino)
    }

    @Test("A second session sends almost nothing")
    func second() async throws {
        let rig = try Rig()
        try Self.fill(rig.origin)
        try await rig.synchronise()
        let wire = MemoryWire()
        try await rig.synchronise(wire)
        #expect(wire.bytes(from: .origin) + wire.bytes(from: .target) < 500)
        rig.expectSame()
    }

    @Test("A byte changed in the middle, and bytes put in at the front, cost a small part of a large file")
    func chunks() async throws {
        let rig = try Rig()
        var bytes = Noise(seed: 1).bytes(8 << 20)
        try rig.origin.write("large", bytes)
        try await rig.live { live in
            try await live.synchronise()
        }
        bytes[4 << 20] ^= 1
        try rig.origin.write("large", bytes)
        let first = MemoryWire()
        try await rig.synchronise(first)
        #expect(rig.target.read("large") == bytes)
        #expect(first.bytes(from: .origin) < 1 << 20)

        bytes.insert(contentsOf: Array("in front of it all".utf8), at: 0)
        try rig.target.write("large", bytes)
        let second = MemoryWire()
        try await rig.synchronise(second)
        #expect(rig.origin.read("large") == bytes)
        #expect(second.bytes(from: .target) < 1 << 20)
    }

    @Test("Twenty thousand small files travel in few turns", .timeLimit(.minutes(5)))
    func many() async throws {
        let rig = try Rig()
        for folder in 0..<100 {
            try rig.origin.folder("folder \(folder)")
            for file in 0..<200 { try rig.origin.write("folder \(folder)/\(file)", "content \(folder) \(file)") }
        }
        let wire = MemoryWire()
        let notices = try await rig.live(wire) { live in
            try await live.synchronise()
            return live.notices.all
        }
        // Whether the system has an inotify instance to give hangs on what else runs on the machine.
        #expect(notices.allSatisfy { if case .watchLimited = $0 { true } else { false } })
        #expect(rig.target.names().count == 100)
        #expect(rig.target.names("folder 99").count == 200)
        // A turn for each file would be 40,000.
        #expect(wire.turns < 400)
        let again = MemoryWire()
        try await rig.synchronise(again)
        #expect(again.bytes(from: .origin) + again.bytes(from: .target) < 10_000)
        #expect(again.turns <= 8)
    }

    @Test(
        "Text travels compressed where both sides wish it, and as it is where one does not", arguments: [true, false])
    func compression(isWished: Bool) async throws {
        let rig = try Rig { options in
            if !isWished, options.basePath.hasSuffix("target") { options.compresses = false }
        }
        let line = Array("what is said once need not be said again\n".utf8)
        for file in 0..<100 { try rig.origin.write("\(file)", Array(repeatElement(line, count: 500).joined())) }
        // Larger than one message.
        try rig.origin.write("large", Array(repeatElement(line, count: 20_000).joined()))
        let wire = MemoryWire()
        try await rig.synchronise(wire)
        rig.expectSame()
        let all = line.count * 70_000
        #expect(isWished ? wire.bytes(from: .origin) < all / 20 : wire.bytes(from: .origin) > all)
    }

    @Test("What never travels is left out and reported")
    func special() async throws {
        let rig = try Rig()
        try rig.origin.write("file", "f")
        #expect(mkfifo(rig.origin.at("fifo"), 0o600) == 0)
        let notices = try await rig.live { live in
            try await live.synchronise()
            return live.notices.all
        }
        #expect(rig.target.names() == ["file"])
        #expect(notices.contains { if case .skipped("fifo", _) = $0 { true } else { false } })
    }

    @Test("A tree over the bound is refused before anything is sent, and can be measured")
    func bound() async throws {
        let rig = try Rig { $0.maximumBytes = .kibibytes(10) }
        try rig.origin.folder("a")
        try rig.origin.write("a/b", [UInt8](repeating: 1, count: 8 << 10))
        let size = try MountTree.measure(rig.origin.path)
        #expect(size == MountTree.Size(paths: 2, bytes: .kibibytes(8)))
        try rig.origin.write("a/c", [UInt8](repeating: 2, count: 8 << 10))
        #expect(try MountTree.measure(rig.origin.path, stoppingAbove: .kibibytes(10)).isPartial)
        await #expect { try await rig.synchronise() } throws: { ($0 as? MountError)?.code == .tooLarge }
        #expect(rig.target.names().isEmpty)
    }

    @Test("Set-user-id bits do not travel unless they may", arguments: [false, true])
    func setuid(keeps: Bool) async throws {
        let rig = try Rig { $0.keepsSetuid = keeps }
        try rig.origin.write("tool", "t")
        try rig.origin.mode("tool", 0o4755)
        try await rig.synchronise()
        let mode = try #require(rig.target.status("tool")).st_mode & 0o7777
        #expect(mode == (keeps && geteuid() == 0 ? 0o4755 : 0o755))
    }
}
