import DockerAPI
import Engine
import Fleet
import FoundationEssentials
import LighterTesting
import Mounts
import NIOCore
import Testing
import Trust
import Wire

@testable import Agent

@Suite("What containers of other nodes take along", .timeLimit(.minutes(1)))
@NodeLoop
struct GuardTreesTests {
    static let id = GuardCreateTests.id

    /// An engine with a container, and a volume that it may use; both have folders on the disk.
    @NodeLoop
    private final class Scene {
        let folder: ScratchFolder
        var layer: String { folder.file("upper") }
        var volume: String { folder.file("volume") }
        var isRunning = false
        var driver = "local"
        var users: [String] = []
        var hasVolume = true

        init(_ engine: FakeEngine) throws {
            folder = try ScratchFolder()
            for path in [layer, volume] {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            }
            engine.answer = { [self] call in answer(call.head.routePath) }
        }

        private func answer(_ path: String) -> FakeEngine.Answer {
            switch path {
            case "/containers/\(GuardTreesTests.id)/json":
                let mounts: JSON = hasVolume ? [["Type": "volume", "Name": "data.edge1"]] : []
                return .json([
                    "Id": .string(GuardTreesTests.id), "State": ["Running": .bool(isRunning)], "Mounts": mounts,
                    "GraphDriver": ["Name": "overlay2", "Data": ["UpperDir": .string(layer)]],
                ])
            case "/containers/json": return .json(.array(users.map { ["Id": .string($0)] }))
            case "/volumes/data.edge1":
                return .json([
                    "Name": "data.edge1", "Driver": .string(driver), "Mountpoint": .string(volume),
                    "Labels": ["io.lighter.tenant": "main", "io.lighter.origin": "edge1"],
                ])
            default: return .json([:], status: 404)
            }
        }

        func write(_ text: String, _ path: String) throws { try Data(text.utf8).write(to: URL(filePath: path)) }
        func read(_ path: String) -> String? {
            FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
        }
    }

    private func call(_ volume: String, writes: Bool = false, ticket: [UInt8] = []) -> Lighter_V1_StreamOpen.OneOf_Kind
    {
        var call = Lighter_V1_TreeCall()
        call.ticket = Data(ticket)
        call.volume = volume
        call.writes = writes
        return .tree(call)
    }

    /// The frames that a stream brings until one ends a pass or the stream.
    private func frames(of client: GuardClient) async throws -> [TreeFrame] {
        var all: [TreeFrame] = []
        var reader = TreeFrameReader()
        var seen = 0
        while true {
            await client.waitForBytes(seen + 1)
            guard
                let more = client.bytes.getSlice(
                    at: client.bytes.readerIndex + seen, length: client.bytes.readableBytes - seen),
                more.readableBytes > 0
            else { return all }
            seen += more.readableBytes
            reader.add(more)
            while let frame = try reader.next() {
                all.append(frame)
                switch frame {
                case .end, .failed: return all
                case .steps, .pass: break
                }
            }
        }
    }

    private func refusal(_ client: GuardClient) async throws -> String {
        if case .failed(let reason)? = try await frames(of: client).last { reason } else { "" }
    }

    @Test("A volume and a layer are given out to whom the workload's ticket has, and arrive in another's volume")
    func travel() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            let scene = try Scene(engine)
            try scene.write("kept", scene.layer + "/file")
            let source = try await rig.connect(call("", ticket: rig.ticket()))
            try await source.send(TreeFrame.pass.bytes)
            let given = try await frames(of: source)
            guard case .end(let tally)? = given.last else { Issue.record("no end"); return }
            #expect(tally.bytes == 4 && tally.entries == 1)
            scene.hasVolume = false
            let target = try await rig.connect(call("data", writes: true))
            for frame in given { try await target.send(frame.bytes) }
            guard case .end? = try await frames(of: target).last else { Issue.record("no end"); return }
            #expect(scene.read(scene.volume + "/file") == "kept")
            await source.close()
            await target.close()
        }
    }

    @Test("Nobody reads without a ticket, nor what the container does not have; nothing in use is written")
    func refusals() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            let scene = try Scene(engine)
            #expect(try await refusal(rig.connect(self.call(""))).contains("ticket"))
            var source = try await rig.connect(self.call("other", ticket: rig.ticket()))
            #expect(try await refusal(source).contains("no such volume"))
            scene.hasVolume = false
            source = try await rig.connect(self.call("data", ticket: rig.ticket()))
            #expect(try await refusal(source).contains("no such volume"))
            scene.users = [Self.id]
            #expect(try await refusal(rig.connect(self.call("data", writes: true))).contains("is in use"))
            (scene.users, scene.driver) = ([], "nfs")
            #expect(try await refusal(rig.connect(self.call("data", writes: true))).contains("driver"))
            scene.driver = "local"
            let target = try await rig.connect(self.call("data", writes: true))
            for _ in 0..<2 { try await target.send(TreeFrame.pass.bytes) }
            #expect(try await refusal(target).contains("asked for its source"))
            let stranger = PeerIdentity(role: .node(try NodeID("edge2")), tenant: .main)
            #expect(
                try await refusal(rig.connect(self.call("data", writes: true), peer: stranger)).contains(
                    "no such volume"))
        }
    }

    @Test("A layer is put into a container's place, and out of it, while that does not run")
    func places() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            let scene = try Scene(engine)
            try scene.write("new", scene.volume + "/file")
            try scene.write("old", scene.layer + "/old")
            let (into, out) = (#"{"Volume":"data","Into":true}"#, #"{"Volume":"data","Into":false}"#)
            let client = try await rig.connect(ticket: rig.ticket())
            scene.isRunning = true
            #expect(try await client.call("POST", "/lighter/layer", body: into)?.status == 409)
            scene.isRunning = false
            let again = try await rig.connect(ticket: rig.ticket())
            #expect(try await again.call("POST", "/lighter/layer", body: into)?.status == 200)
            #expect(scene.read(scene.layer + "/file") == "new" && scene.read(scene.layer + "/old") == nil)
            let back = try await rig.connect(ticket: rig.ticket())
            #expect(try await back.call("POST", "/lighter/layer", body: out)?.status == 200)
            #expect(scene.read(scene.volume + "/file") == "new" && scene.read(scene.layer + "/file") == nil)
            let nobody = try await rig.connect()
            #expect(try await nobody.call("POST", "/lighter/layer", body: into)?.status == 403)
        }
    }
}
