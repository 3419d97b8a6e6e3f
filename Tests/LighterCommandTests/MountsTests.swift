import ArgumentParser
import DockerAPI
import Testing

@testable import lighter

@Suite("lighter mounts")
struct MountsTests {
    @Test("A socket is a path, or unix:// and a path; what is on no socket of this machine is refused")
    func sockets() throws {
        #expect(try FrontDoorOptions.path(of: "/run/l.sock") == "/run/l.sock")
        #expect(try FrontDoorOptions.path(of: "unix:///run/l.sock") == "/run/l.sock")
        #expect(try Mounts.parse(["--socket", "unix:///run/l.sock"]).door.socket != nil)
        for text in ["tcp://10.0.0.1:2375", "ssh://host", "unix://", ""] {
            #expect(throws: (any Error).self) { try Mounts.parse(["--socket", text]) }
            #expect(throws: (any Error).self) { try Doctor.parse(["--socket", text]) }
        }
    }

    @Test("Each mount has a line, and the notices come below")
    func table() throws {
        let rows = [
            MountRow([
                "Source": "/home/dev/tree", "Node": "cloud1", "State": "first sync", "Containers": ["ab"],
                "Paths": ["Planned": 20_000, "Done": 5000], "Bytes": ["Sent": 2_097_152, "Received": 1024],
                "Conflicts": 0, "Notices": ["run/socket is not mirrored: sockets stay where they are"],
            ]),
            MountRow(["Source": "/srv", "Node": "cloud2", "State": "live"]),
        ]
        #expect(
            Mounts.table(rows).split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") } == [
                "PATH NODE STATE BROUGHT OVER SENT RECEIVED CONFLICTS",
                "/home/dev/tree cloud1 first sync 5000 of 20000 paths (25 %) 2 MiB 1 KiB 0",
                "/srv cloud2 live 0 of 0 paths 0 B 0 B 0",
                "/home/dev/tree at cloud1: run/socket is not mirrored: sockets stay where they are",
            ])
    }
}
