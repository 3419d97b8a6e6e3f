import DockerAPI
import Fleet
import Foundation
import LighterTesting
import NIOCore
import Testing

@testable import FrontDoor

@Suite("Which bind mounts may leave the device")
struct MountPlanTests {
    private func plan(_ host: String, maximum: ByteCount = .mebibytes(1)) async throws -> (MountPlan, ties: [String]) {
        let request = try CreateRequest(ByteBuffer(string: #"{"Image":"x","HostConfig":\#(host)}"#))
        let plan = await MountPlan.make(for: request, .init(folder: "/nowhere", maximumBytes: maximum))
        return (plan, plan.ties(of: request))
    }

    @Test("Folders and files are mirrored, each with its kind; -v makes what is missing, --mount does not")
    func mirrored() async throws {
        let folder = try ScratchFolder()
        try Data("x".utf8).write(to: URL(filePath: folder.file("file")))
        let made = folder.file("made/here")
        let (plan, ties) = try await plan(
            #"{"Binds":["\#(folder.path)/:/a/","\#(folder.file("file")):/b:ro","\#(made):/c"]}"#)
        #expect(ties.isEmpty)
        #expect(
            plan.mirrored == [
                .init(source: folder.path, target: "/a", isFile: false),
                .init(source: folder.file("file"), target: "/b", isFile: true),
                .init(source: made, target: "/c", isFile: false),
            ])
        #expect(FileManager.default.fileExists(atPath: made))
        let missing = folder.file("missing")
        let long = try await self.plan(#"{"Mounts":[{"Type":"bind","Source":"\#(missing)","Target":"/a"}]}"#)
        #expect(long.ties == ["bind mount \(missing) (it is not there)"])
        #expect(!FileManager.default.fileExists(atPath: missing))
    }

    @Test(
        "What is the device's own stays with it, and the reason is said",
        arguments: [
            ("/", "own"), ("/proc/self", "own"), ("/var/run/docker.sock", "own"), ("/dev/null", "own"),
            ("/tmp/../etc", "absolute"),
        ])
    func stays(source: String, reason: String) async throws {
        let (plan, ties) = try await plan(#"{"Binds":["\#(source):/x"]}"#)
        #expect(plan.mirrored.isEmpty)
        #expect(ties.count == 1 && ties[0].hasPrefix("bind mount \(source) (") && ties[0].contains(reason), "\(ties)")
    }

    @Test("Mounts that are too large, one or all together, or that spread stay; other ties stay what they are")
    func tooLarge() async throws {
        let folder = try ScratchFolder()
        try Data(repeating: 1, count: 5000).write(to: URL(filePath: folder.file("big")))
        let (plan, ties) = try await plan(
            #"{"Binds":["\#(folder.path):/a"],"Privileged":true}"#, maximum: ByteCount(4096))
        #expect(plan.mirrored.isEmpty)
        #expect(ties.count == 2 && ties[0].contains("mounts_max_bytes") && ties[1] == "privileged mode")
        let half = try ScratchFolder()
        try Data(repeating: 1, count: 3000).write(to: URL(filePath: half.file("half")))
        let other = try ScratchFolder()
        try Data(repeating: 1, count: 3000).write(to: URL(filePath: other.file("half")))
        let both = #"{"Binds":["\#(half.path):/a","\#(half.path):/b","\#(other.path):/c"]}"#
        #expect(try await self.plan(both).ties.isEmpty)
        let together = try await self.plan(both, maximum: ByteCount(4096)).ties
        #expect(together.count == 1 && together[0].contains("\(other.path) (it holds more with the mounts before it"))
        let spread = try await self.plan(#"{"Binds":["\#(folder.path):/a:rshared"]}"#)
        #expect(spread.ties.first?.contains("spread") == true)
    }
}
