import DockerAPI
import Fleet
import Foundation
import LighterTesting
import Testing

@testable import Agent

@Suite("Mirrors of other nodes' mounts")
struct MirrorsTests {
    private func mirrors(_ folder: String, origin: String = "edge1") throws -> Mirrors {
        Mirrors(folder: folder, tenant: .main, origin: try NodeID(origin))
    }

    @Test("A mirror is nowhere but in its own folder, whatever its source is called, and each origin has its own")
    func places() throws {
        let mirrors = try mirrors("/m")
        for source in ["/data", "/../../etc", "/a/../b", "/\u{1F600}", "/"] {
            let root = mirrors.root(of: source, isFile: false)
            #expect(root.hasPrefix("/m/main/edge1/") && root.hasSuffix("/tree") && !root.contains(".."))
            #expect(root.split(separator: "/").count == 5)
        }
        #expect(mirrors.root(of: "/a", isFile: false) != mirrors.root(of: "/b", isFile: false))
        #expect(
            try self.mirrors("/m", origin: "edge2").root(of: "/a", isFile: false)
                != mirrors.root(of: "/a", isFile: false))
    }

    @Test("Folders and files are made where an engine shall find them, and what is there stays")
    func making() throws {
        let folder = try ScratchFolder()
        let mirrors = try mirrors(folder.file("mirrors"))
        for isFile in [true, false] {
            let source = "/src/\(isFile)"
            try mirrors.make(source, isFile: isFile)
            let root = mirrors.root(of: source, isFile: isFile)
            var isFolder = ObjCBool(false)
            #expect(
                FileManager.default.fileExists(atPath: root, isDirectory: &isFolder) && isFolder.boolValue != isFile)
            if isFile { try Data("kept".utf8).write(to: URL(filePath: root)) }
            try mirrors.make(source, isFile: isFile)
            if isFile { #expect(FileManager.default.contents(atPath: root) == Data("kept".utf8)) }
        }
    }

    @Test("Mirrors that nobody has used for long are removed, those of containers and of late are not")
    func sweeping() throws {
        let folder = try ScratchFolder()
        let place = folder.file("mirrors")
        let mirrors = try mirrors(place)
        for source in ["/old", "/mounted"] { try mirrors.make(source, isFile: false) }
        let now = Date().timeIntervalSince1970
        let mounted = [mirrors.root(of: "/mounted", isFile: false)]
        Mirrors.sweep(place, mounted: mounted, olderThan: 60, now: now)
        #expect(FileManager.default.fileExists(atPath: mirrors.root(of: "/old", isFile: false)))
        Mirrors.sweep(place, mounted: mounted, olderThan: 60, now: now + 120)
        #expect(!FileManager.default.fileExists(atPath: mirrors.root(of: "/old", isFile: false)))
        #expect(FileManager.default.fileExists(atPath: mounted[0]))
    }

    @Test(
        "A create's own paths become its mirrors', in both of Docker's forms; volumes and host paths stay as they are")
    func sanitizing() throws {
        var policy = GuardPolicy()
        policy.hostPaths = ["/srv/models"]
        var profile = CreateProfile(policy: policy, node: try NodeID("cloud1"))
        let mirrors = try mirrors("/m")
        profile.mirrors = mirrors
        profile.files = ["/etc/app.conf"]
        let body: JSON = [
            "Image": "x",
            "HostConfig": [
                "Binds": ["/data/:/d:ro", "/etc/app.conf:/c", "/srv/models:/models", "/anonymous"],
                "Mounts": [["Type": "bind", "Source": "/data", "Target": "/e"]],
            ],
        ]
        let labels = WorkloadLabels(
            id: .random(), epoch: 1, origin: mirrors.origin, tenant: .main, target: profile.node, name: "", image: "x")
        let host = try CreateSanitizer(profile: profile).sanitize(body, labels: labels)["HostConfig"]
        let tree = mirrors.root(of: "/data", isFile: false)
        #expect(
            host?["Binds"]?.arrayValue?.compactMap(\.stringValue) == [
                "\(tree):/d:ro", "\(mirrors.root(of: "/etc/app.conf", isFile: true)):/c", "/srv/models:/models",
                "/anonymous",
            ])
        #expect(host?["Mounts"]?[0]?["Source"]?.stringValue == tree)
        let spreading: JSON = ["Image": "x", "HostConfig": ["Binds": ["/data:/d:rshared"]]]
        #expect(throws: DockerFailure.self) {
            try CreateSanitizer(profile: profile).sanitize(spreading, labels: labels)
        }
    }
}
