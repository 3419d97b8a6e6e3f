import Compression
import Glibc
import LighterTesting
import NIOCore
import Testing

@testable import Mounts

@Suite("Trees that travel whole, while they are used", .timeLimit(.minutes(1)))
struct CarryingTests {
    /// A tree, its copy, and the wire between them.
    private final class Scene: Sendable {
        let scratch: ScratchFolder
        let here, there: Disk
        let source: TreeSource
        let copy: TreeCopy

        init(isLayer: Bool = false, _ fill: (Disk) throws -> Void) throws {
            scratch = try ScratchFolder()
            (here, there) = (Disk(path: scratch.file("here")), Disk(path: scratch.file("there")))
            for disk in [here, there] { mkdir(disk.path, 0o755) }
            try fill(here)
            source = try TreeSource(path: here.path, isLayer: isLayer)
            copy = try TreeCopy(path: there.path)
        }

        @discardableResult
        func pass() async throws -> TreeTally {
            try await source.pass { [copy] bytes in
                var reader = TreeFrameReader()
                // In two pieces, as streams cut them.
                var bytes = bytes
                reader.add(bytes.readSlice(length: 3) ?? ByteBuffer())
                #expect(try reader.next() == nil)
                reader.add(bytes)
                while let frame = try reader.next() { _ = try await copy.take(frame) }
            }
        }

        func isEqual() -> Bool {
            let (one, other) = (here.snapshot(), there.snapshot())
            if one != other { print(Set(one).symmetricDifference(other).sorted().joined(separator: "\n")) }
            return one == other
        }
    }

    private static let block = TreeStep.blockSize

    @Test("A copy has contents, owners, modes, times, attributes, links and names as the tree has them")
    func whole() async throws {
        let scene = try Scene(isLayer: true) { disk in
            try FirstSyncTests.fill(disk)
            chown(disk.at("plain"), 1234, 567)
            lchown(disk.at("link"), 77, 78)
            mkfifo(disk.at("fifo"), 0o640)
            mknod(disk.at("gone"), S_IFCHR, 0)
            try disk.write("large", Array(repeating: 7, count: 3 * Self.block + 5))
            try disk.age("folder", seconds: 900_000_000)
            chmod(disk.path, 0o711)
        }
        let tally = try await scene.pass()
        #expect(scene.isEqual())
        #expect(tally.entries == scene.here.snapshot().count)
        #expect(scene.there.status("link")?.st_gid == 78)
        #expect(scene.there.status("gone").map { $0.st_mode & S_IFMT } == S_IFCHR)
        #expect(scene.there.status("folder")?.st_mtim.tv_sec == 900_000_000)
        #expect(scene.there.status("").map { $0.st_mode & 0o777 } == 0o711)
    }

    @Test("A later pass brings only the blocks that differ, though a file looks untouched")
    func differences() async throws {
        let scene = try Scene { try $0.write("large", Array(repeating: 1, count: 8 * Self.block)) }
        #expect(try await scene.pass().bytes == Int64(8 * Self.block))
        #expect(try await scene.pass().bytes == 0)
        try scene.here.age("large", seconds: 5)
        #expect(try await scene.pass().bytes == 0)
        let file = open(scene.here.at("large"), O_WRONLY)
        pwrite(file, "changed", 7, 5 * Self.block)
        close(file)
        try scene.here.age("large", seconds: 5)
        #expect(try await scene.pass().bytes == Int64(Self.block))
        #expect(scene.isEqual())
    }

    @Test("Holes stay holes, also where the file is larger than what it holds")
    func holes() async throws {
        let scene = try Scene { disk in
            try disk.write("sparse", "x")
            truncate(disk.at("sparse"), 64 << 20)
        }
        #expect(try await scene.pass().bytes == Int64(Self.block))
        #expect(scene.there.status("sparse").map { $0.st_size } == 64 << 20)
        #expect((scene.there.status("sparse")?.st_blocks ?? .max) * 512 < 1 << 20)
    }

    @Test("What is removed, renamed, replaced, parted or shortened between passes is so in the copy")
    func changes() async throws {
        let scene = try Scene { disk in
            for name in ["stays", "goes", "turns", "one", "moves"] { try disk.write(name, "\(name) and more") }
            try disk.hardLink("two", to: "one")
            try disk.hardLink("three", to: "one")
            try disk.folder("folder")
            try disk.write("folder/inner", "inner")
            try disk.folder("becomes")
            try disk.write("becomes/inner", "inner")
            try disk.link("link", to: "stays")
        }
        try await scene.pass()
        try scene.here.remove("goes")
        try scene.here.remove("turns")
        try scene.here.folder("turns")
        try scene.here.write("turns/new", "new")
        try scene.here.rename("moves", to: "folder/moved")
        try scene.here.removeAll("becomes")
        try scene.here.write("becomes", "a file")
        try scene.here.remove("one")
        try scene.here.write("one", "for itself")
        try scene.here.write("stays", "s")
        try scene.here.remove("link")
        try scene.here.link("link", to: "folder")
        try await scene.pass()
        #expect(scene.isEqual())
        try scene.here.removeAll("folder")
        try scene.here.remove("three")
        try await scene.pass()
        #expect(scene.isEqual())
        #expect(scene.there.status("two")?.st_nlink == 1)
    }

    @Test("Whatever is done between passes, the copy is the tree", arguments: 0..<12)
    func anything(seed: Int) async throws {
        var random = Noise(seed: UInt64(seed))
        let scene = try Scene { try $0.folder("a") }
        let paths = ["a", "b", "a/x", "a/y", "b/x", "c", "c/d", "c/d/e", "z"]
        for _ in 0..<6 {
            for _ in 0..<10 {
                let path = paths.randomElement(using: &random) ?? "z"
                let other = paths.randomElement(using: &random) ?? "a"
                switch Int.random(in: 0..<7, using: &random) {
                case 0: try? scene.here.write(path, Array(repeating: .random(in: 0...3), count: .random(in: 0...9)))
                case 1: try? scene.here.folder(path)
                case 2: try? scene.here.removeAll(path)
                case 3: try? scene.here.rename(path, to: other)
                case 4: try? scene.here.hardLink(path, to: other)
                case 5: try? scene.here.link(path, to: other)
                default: try? scene.here.write(path, Array(repeating: 9, count: 3 * Self.block))
                }
            }
            try await scene.pass()
            #expect(scene.isEqual())
        }
    }

    @Test("A device does not travel, and is named")
    func device() async throws {
        let scene = try Scene { mknod($0.at("zero"), S_IFCHR, 0x105) }
        let error = await #expect(throws: MountError.self) { try await scene.pass() }
        #expect(error?.message.contains("zero is a device") == true)
    }

    @Test("A peer reaches nothing outside the copy")
    func hostile() async throws {
        let scene = try Scene { _ in }
        let outside = scene.scratch.file("outside")
        mkdir(outside, 0o755)
        let attributes = TreeStep.Attributes(mode: 0o755, owner: 0, group: 0, modified: 0)
        func frame(_ steps: [TreeStep]) throws -> TreeFrame {
            var bytes = ByteBuffer()
            for step in steps { bytes.write(step) }
            let compressor = try ZstdCompressor()
            var packed = try compressor.compress(bytes)
            packed.writeImmutableBuffer(try compressor.finish())
            return .steps(packed)
        }
        let link = try #require(TreePath(Array("link".utf8)))
        let below = try #require(TreePath(Array("link/evil".utf8)))
        let steps: [TreeStep] = [
            .link(link, attributes, text: Array(outside.utf8)),
            .file(below, attributes, size: 1, isFresh: true),
        ]
        await #expect(throws: MountError.self) { _ = try await scene.copy.take(try frame(steps)) }
        #expect(Disk(path: outside).names() == [])
        var evil = ByteBuffer()
        evil.writeMultipleIntegers(UInt8(8), UInt16(5))
        evil.writeString("../ou")
        #expect(throws: MountError.self) { _ = try evil.readStep() }
        var open = TreeFrameReader()
        open.add(ByteBuffer(bytes: [0, 255, 255, 255, 255]))
        #expect(throws: MountError.self) { _ = try open.next() }
    }

    @Test("Nothing but a regular file is opened, and no mode is set through a link, whatever takes a file's place")
    func onlyFiles() throws {
        let scene = try Scene { _ in }
        let folder = try OpenFolder.open(trusted: scene.here.path)
        try scene.here.write("plain", "text")
        #expect(mkfifo(scene.here.path + "/fifo", 0o600) == 0)
        #expect(symlink("plain", scene.here.path + "/link") == 0)
        // What /dev/null is: only root can make it.
        let hasDevice = mknod(scene.here.path + "/device", S_IFCHR | 0o600, 0x103) == 0
        for name in ["fifo", "link"] + (hasDevice ? ["device"] : []) {
            for writable in [false, true] {
                #expect(throws: SystemFailure.self) { _ = try folder.regularFile(Array(name.utf8), writable: writable) }
            }
        }
        #expect(throws: SystemFailure.self) {
            try folder.setMode(of: Array("link".utf8), of: S_IFIFO, to: 0o777)
        }
        try folder.setMode(of: Array("fifo".utf8), of: S_IFIFO, to: 0o620)
        #expect(scene.here.status("fifo").map { $0.st_mode & 0o777 } == 0o620)
        #expect(scene.here.status("plain").map { $0.st_mode & 0o777 } != 0o777)
        var status = stat()
        let plain = try folder.regularFile(Array("plain".utf8))
        #expect(withExtendedLifetime(plain) { fstat(plain.number, &status) } == 0 && status.st_size == 4)
        #expect(throws: SystemFailure.self) {
            _ = try folder.regularFile(Array("plain".utf8), on: status.st_dev &+ 1)
        }
    }

    @Test("A layer is put into place without a copy, and whatever was there is gone")
    func place() async throws {
        let scene = try Scene { disk in
            try FirstSyncTests.fill(disk)
            chmod(disk.path, 0o705)
        }
        let before = scene.here.snapshot()
        let inode = scene.here.status("plain")?.st_ino
        try scene.there.write("rest", "r")
        try await LayerPlace.move(scene.here.path, to: scene.there.path, replacing: true)
        #expect(scene.there.snapshot() == before)
        #expect(scene.there.status("plain")?.st_ino == inode)
        #expect(scene.there.status("").map { $0.st_mode & 0o777 } == 0o705)
        #expect(scene.here.names() == [])
        // Out again, in two steps.
        try scene.here.write("moved", "before")
        try await LayerPlace.move(scene.there.path, to: scene.here.path, replacing: false)
        #expect(scene.here.text("moved") == "before" && scene.here.text("plain") == "hello")
        try await LayerPlace.move(scene.there.path, to: scene.here.path, replacing: false)
        #expect(scene.here.text("plain") == "hello")
    }
}
