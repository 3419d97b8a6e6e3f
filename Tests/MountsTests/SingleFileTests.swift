import Glibc
import Testing

@testable import Mounts

@Suite(.timeLimit(.minutes(2)))
struct SingleFileTests {
    @Test("A single file is mirrored in place, also when an editor replaces it")
    func inPlace() async throws {
        let rig = try Rig(file: "config")
        try rig.origin.write("config", "one")
        try rig.origin.write("neighbour", "not part of it")
        try await rig.live { live in
            try await live.synchronise()
            #expect(rig.target.text("config") == "one")
            let inode = rig.target.status("config")?.st_ino

            try rig.origin.write("config.new", "two")
            try rig.origin.rename("config.new", to: "config")
            await live.until { rig.target.text("config") == "two" }
            try rig.origin.write("config", "three, longer")
            await live.until { rig.target.text("config") == "three, longer" }
            try rig.origin.write("config", "4")
            await live.until { rig.target.text("config") == "4" }
            #expect(rig.target.status("config")?.st_ino == inode)

            try rig.target.write("config", "from the container")
            await live.until { rig.origin.text("config") == "from the container" }
            try await live.synchronise()
        }
        #expect(rig.target.names() == ["config"])
        #expect(rig.origin.names() == ["config", "neighbour"])
    }

    @Test("A file that is missing at the device is an error and is not deleted at the target")
    func missing() async throws {
        let rig = try Rig(file: "config")
        try rig.origin.write("config", "one")
        await #expect {
            try await rig.live { live in
                try await live.synchronise()
                try rig.origin.remove("config")
                try await live.synchronise()
            }
        } throws: {
            ($0 as? MountError)?.code == .originLost
        }
        #expect(rig.target.text("config") == "one")
        await #expect { try await rig.synchronise() } throws: { ($0 as? MountError)?.code == .originLost }
        #expect(rig.target.text("config") == "one")
    }

    @Test("Where both sides changed the file, the target's version is kept beside it there")
    func conflict() async throws {
        let rig = try Rig(file: "config")
        try rig.origin.write("config", "one")
        try await rig.synchronise()
        let inode = rig.target.status("config")?.st_ino
        try rig.origin.write("config", "the origin's")
        try rig.target.write("config", "the target's")
        try await rig.synchronise()
        #expect(rig.target.text("config") == "the origin's")
        #expect(rig.target.status("config")?.st_ino == inode)
        let other = try #require(rig.target.names().first { $0.hasPrefix("config.conflict-builder-") })
        #expect(rig.target.text(other) == "the target's")
    }
}
