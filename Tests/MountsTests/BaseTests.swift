import Glibc
import Testing

@testable import Mounts

@Suite(.timeLimit(.minutes(2)))
struct BaseTests {
    @Test("A session knows from the last one what changed at which side meanwhile")
    func restart() async throws {
        let rig = try Rig()
        for name in ["a", "b", "c", "d"] { try rig.origin.write(name, name) }
        try await rig.synchronise()
        try rig.origin.remove("a")
        try rig.target.remove("b")
        try rig.target.write("c", "changed there")
        try rig.origin.write("d", "changed here")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.names() == ["c", "d"])
        #expect(rig.origin.text("c") == "changed there")
    }

    @Test("Without a base the device's folder is the truth", arguments: ["lost", "damaged"])
    func lost(how: String) async throws {
        let rig = try Rig()
        try rig.origin.write("both", "origin")
        try rig.origin.write("same", "same")
        try await rig.synchronise()
        let scratch = rig.whole
        if how == "lost" {
            try scratch.remove("base-origin")
        } else {
            var bytes = try #require(scratch.read("base-origin"))
            bytes[bytes.count / 2] ^= 1
            try scratch.write("base-origin", bytes)
        }
        try rig.target.write("both", "target's, newer")
        try rig.target.folder("stale")
        try rig.target.write("stale/file", "s")
        let wire = MemoryWire()
        try await rig.synchronise(wire)
        rig.expectSame()
        #expect(rig.target.text("both") == "origin")
        #expect(rig.target.names() == ["both", "same"])
    }

    @Test("A target that lost its index reads its files again and sends nothing for it")
    func lostIndex() async throws {
        let rig = try Rig()
        try rig.origin.write("a", "a")
        try await rig.synchronise()
        try rig.whole.remove("base-target")
        let wire = MemoryWire()
        try await rig.synchronise(wire)
        #expect(wire.bytes(from: .origin) + wire.bytes(from: .target) < 300)
        rig.expectSame()
    }

    @Test("A missing root at the device is an error and deletes nothing")
    func missing() async throws {
        let rig = try Rig()
        try rig.origin.write("precious", "p")
        try await rig.synchronise()
        let scratch = rig.whole
        try scratch.rename("origin", to: "elsewhere")
        await #expect { try await rig.synchronise() } throws: { ($0 as? MountError)?.code == .originLost }
        #expect(rig.target.text("precious") == "p")

        try scratch.folder("origin")
        await #expect("an empty place of a file system that is not mounted") {
            try await rig.synchronise()
        } throws: {
            ($0 as? MountError)?.code == .originLost
        }
        #expect(rig.target.text("precious") == "p")

        try scratch.removeAll("origin")
        try scratch.rename("elsewhere", to: "origin")
        try await rig.synchronise()
        rig.expectSame()
    }

    @Test("A session that ends before the trees were compared leaves what the target remembers as it is")
    func endedEarly() async throws {
        let rig = try Rig()
        try rig.origin.write("a", "a")
        try await rig.synchronise()
        try rig.target.write("output", "not home yet")
        try rig.target.write("a", "edited there")
        let scratch = rig.whole
        try scratch.rename("origin", to: "elsewhere")
        try scratch.folder("origin")
        await #expect(throws: MountError.self) { try await rig.synchronise() }
        try scratch.removeAll("origin")
        try scratch.rename("elsewhere", to: "origin")
        try await rig.synchronise()
        rig.expectSame()
        #expect(rig.origin.text("output") == "not home yet")
        #expect(rig.origin.text("a") == "edited there")
    }

    @Test("A root that goes while the session runs ends it and deletes nothing")
    func vanishing() async throws {
        let rig = try Rig()
        try rig.origin.write("precious", "p")
        await #expect {
            try await rig.live { live in
                try await live.synchronise()
                try rig.whole.rename("origin", to: "elsewhere")
                try await live.synchronise()
            }
        } throws: {
            ($0 as? MountError)?.code == .originLost
        }
        #expect(rig.target.text("precious") == "p")
    }

    @Test("A mirror that was removed, emptied or is another one deletes nothing", arguments: ["all", "files", "both"])
    func wiped(what: String) async throws {
        let rig = try Rig()
        try rig.origin.write("precious", "p")
        try rig.origin.folder("folder")
        try rig.origin.write("folder/x", "x")
        try await rig.synchronise()
        if what == "files" {
            for name in rig.target.names() { try rig.target.removeAll(name) }
        } else {
            try rig.whole.removeAll("target")
        }
        if what == "both" { try rig.whole.remove("base-target") }
        try await rig.synchronise()
        #expect(rig.origin.names() == ["folder", "precious"])
        rig.expectSame()
    }

    @Test("A first session that ends before the trees were compared leaves no base", arguments: [10, 30, 60, 90, 150])
    func early(after bytes: Int) async throws {
        let rig = try Rig()
        try rig.origin.write("precious", Noise(seed: 1).bytes(100))
        await #expect(throws: MountError.self) { try await rig.synchronise(MemoryWire(cutAfter: bytes)) }
        #expect(!rig.whole.exists("base-origin"))
        try await rig.synchronise()
        #expect(rig.origin.names() == ["precious"])
        rig.expectSame()
    }

    @Test(
        "A session that breaks off is taken up by the next one and leaves no temporary files",
        arguments: [1_000, 100_000, 250_000, 600_000])
    func cut(after bytes: Int) async throws {
        let rig = try Rig()
        try rig.origin.write("large", Noise(seed: 3).bytes(500_000))
        for index in 0..<50 { try rig.origin.write("small \(index)", Noise(seed: UInt64(index)).bytes(5_000)) }
        await #expect(throws: MountError.self) { try await rig.synchronise(MemoryWire(cutAfter: bytes)) }
        #expect(!rig.target.hasTemporaryFiles)
        try await rig.synchronise()
        rig.expectSame()
    }
}
