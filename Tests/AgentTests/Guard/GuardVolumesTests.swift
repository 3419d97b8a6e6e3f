import DockerAPI
import Engine
import Fleet
import LighterTesting
import Testing
import Trust

@testable import Agent

@Suite("Volumes without names of other nodes' containers")
@NodeLoop
struct GuardVolumesTests {
    static let volume = String(repeating: "5a", count: 32)
    static let id = GuardCreateTests.id
    static let shown: JSON = ["Name": .string(volume), "Driver": "local", "Labels": .null]

    /// An engine with one volume, which these containers use.
    static func script(users: [String], mounted: Bool = true) -> @NodeLoop (FakeEngine.Call) -> FakeEngine.Answer {
        { call in
            switch call.head.routePath {
            case "/volumes/\(volume)": .json(shown)
            case "/containers/json": .json(.array(users.map { ["Id": .string($0)] }))
            case "/containers/\(id)/json":
                .json(["Id": .string(id), "Mounts": mounted ? [["Type": "volume", "Name": .string(volume)]] : []])
            case "/system/df": .json(["Volumes": [shown, ["Name": "theirs", "Labels": .null]]])
            default: call.head.method == "DELETE" ? .raw("HTTP/1.1 204 No Content\r\n\r\n") : .json([:], status: 404)
            }
        }
    }

    @Test("are the caller's as long as its own container uses them, and nobody's else", arguments: [true, false])
    func used(isOwn: Bool) async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = Self.script(users: [isOwn ? Self.id : String(repeating: "c", count: 64)])
            let client = try await rig.connect()
            #expect(try await client.call("GET", "/volumes/\(Self.volume)")?.status == (isOwn ? 200 : 404))
            let usage = try await client.call("GET", "/system/df")?.json
            #expect(usage == ["Volumes": isOwn ? [Self.shown] : []])
            #expect(try await client.call("DELETE", "/volumes/\(Self.volume)")?.status == (isOwn ? 200 : 404))
            #expect(engine.paths().contains("DELETE /volumes/\(Self.volume)") == isOwn)
        }
    }

    @Test("stay the caller's when its container is removed without them", arguments: ["", "?v=1"])
    func left(query: String) async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = Self.script(users: [])
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("DELETE", "/containers/\(Self.id)\(query)")?.status == 204)
            let isLeft = query.isEmpty
            #expect(try await client.call("GET", "/volumes/\(Self.volume)")?.status == (isLeft ? 200 : 404))
            let other = try await rig.connect(
                peer: PeerIdentity(role: .node(try NodeID("edge2")), tenant: .main))
            #expect(try await other.call("GET", "/volumes/\(Self.volume)")?.status == 404)
        }
    }

    @Test("are remembered over a restart, the newest first")
    func rights() throws {
        let folder = try ScratchFolder()
        let (edge1, edge2) = (try NodeID("edge1"), try NodeID("edge2"))
        let rights = VolumeRights(path: folder.file("volumes"))
        for number in 0..<3000 { rights.grant("v\(number)", to: edge1) }
        rights.grant("v2999", to: edge2)
        let again = VolumeRights(path: folder.file("volumes"))
        #expect(again.has("v2999", edge1) && !again.has("v2999", edge2) && !again.has("v0", edge1))
        #expect(VolumeRights(path: folder.file("volumes")).has("v2999", edge1), "what was left out was written anew")
    }
}
