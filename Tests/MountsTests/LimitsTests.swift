import Fleet
import Glibc
import LighterTesting
import Synchronization
import Testing

@testable import Mounts

/// What the system has only so much of: events, and room on the disk.
@Suite(.timeLimit(.minutes(2)))
struct LimitsTests {
    @Test("More changes than the system keeps events of are told as a gap, after which everything is looked at")
    func overflow() async throws {
        let rig = try Rig()
        let watch = try FolderWatch()
        watch.add(try OpenFolder.open(trusted: rig.origin.path).descriptor, as: .root)
        try rig.origin.write("a", "a")
        try rig.origin.write("b", "b")
        let bound = try Self.eventsKept()
        // Nobody reads them yet. The same twice in a row would be one.
        for turn in 0...bound / 2 {
            for name in ["a", "b"] { try rig.origin.mode(name, turn % 2 == 0 ? 0o600 : 0o644) }
        }
        watch.start()
        defer { watch.stop() }
        for await _ in watch.signals {
            if let gap = watch.take().gap {
                #expect(gap.contains("more changed at once"))
                break
            }
        }
    }

    private static func eventsKept() throws -> Int {
        let file = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var text = [UInt8](repeating: 0, count: 32)
        let count = read(file, &text, text.count)
        return try #require(Int(String(decoding: text[..<max(0, count - 1)], as: UTF8.self)))
    }

    @Test(
        "A full disk where a side keeps what it knows ends the session, changes nothing, and is over once there is room",
        .enabled(if: geteuid() == 0, "mounting a small disk takes root"), arguments: [MountSide.origin, .target])
    func fullStore(side: MountSide) async throws {
        let rig = try Rig { $0.cacheSize = .kibibytes(64) }
        for file in 0..<2000 { try rig.origin.write("file \(file)", "text \(file)") }
        try rig.whole.folder("bases")
        try #require(mount("none", rig.whole.at("bases"), "tmpfs", 0, "size=128k") == 0)
        defer { umount2(rig.whole.at("bases"), Int32(MNT_DETACH)) }
        rig.baseFolders.withLock { $0[side] = "bases" }
        await #expect {
            try await rig.synchronise()
        } throws: { error in
            "\(error)".contains("No space left on device") && "\(error)".contains("make room there")
                || (error as? MountError)?.code == .pipe
        }
        #expect(rig.origin.names().count == 2000)
        try #require(mount("none", rig.whole.at("bases"), nil, UInt(MS_REMOUNT), "size=8m") == 0)
        try await rig.synchronise()
        rig.expectSame()
        #expect(!rig.whole.exists("bases/base-\(side).work"))
    }

    @Test(
        "A full disk at the target is an error that says so, leaves whole files only, and is over once there is room",
        .enabled(if: geteuid() == 0, "mounting a small disk takes root"))
    func fullDisk() async throws {
        let rig = try Rig()
        try rig.whole.folder("target")
        let size = "size=2m"
        try #require(mount("none", rig.target.path, "tmpfs", 0, size) == 0)
        defer { umount2(rig.target.path, Int32(MNT_DETACH)) }
        let large = Noise(seed: 1).bytes(4 << 20)
        try rig.origin.write("large", large)
        for file in 0..<40 { try rig.origin.write("small \(file)", "text \(file)") }
        await #expect {
            try await rig.synchronise()
        } throws: { error in
            (error as? MountError)?.code == .incomplete && "\(error)".contains("No space left on device")
        }
        #expect(!rig.target.hasTemporaryFiles)
        #expect(rig.target.read("large") == nil)
        #expect(rig.origin.read("large") == large)
        try rig.origin.remove("large")
        try rig.origin.write("large", Array(large[..<(1 << 20)]))
        try await rig.synchronise()
        rig.expectSame()
    }
}
