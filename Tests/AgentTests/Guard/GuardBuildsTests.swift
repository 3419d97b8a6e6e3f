import DockerAPI
import Engine
import Fleet
import Images
import LighterTesting
import NIOCore
import Testing

@testable import Agent

@Suite("Builds of other nodes")
@NodeLoop
struct GuardBuildsTests {
    /// Of a node whose owner lets others build there.
    private static var building: GuardPolicy {
        var policy = GuardPolicy()
        policy.acceptsBuilds = true
        return policy
    }

    @Test("are nobody's but the node's own, unless its owner says otherwise")
    func closed() async throws {
        try await withGuard { rig, engine in
            let client = try await rig.connect(ticket: rig.ticket())
            for target in ["/build?dockerfile=a", "/lighter/chunks"] {
                let refusal = try await client.call("POST", target, body: "{}")
                #expect(refusal?.status == 403)
                #expect(refusal?.message.contains("accept_builds") == true)
            }
            #expect(engine.calls.isEmpty)
        }
    }

    private static func admit(_ query: String, _ policy: GuardPolicy = GuardPolicy()) throws -> Query {
        try BuildAdmission(policy: policy, node: try NodeID("cloud1")).admit(Query(query))
    }

    @Test("are made by the classic builder, without names, and leave no containers behind")
    func passed() throws {
        let query = try Self.admit(
            "dockerfile=a&q=1&nocache=1&buildargs=%7B%7D&target=x&rm=0&networkmode=none&extrahosts=a:1")
        #expect(
            query.encoded
                == "dockerfile=a&q=1&nocache=1&buildargs=%7B%7D&target=x&rm=1&networkmode=none&extrahosts=a%3A1&version=1&forcerm=1"
        )
    }

    @Test(
        "are refused what reaches a host, or is not known",
        arguments: [
            "t=busybox", "remote=http://x", "networkmode=host", "networkmode=container:a", "networkmode=mynet",
            "cgroupparent=x", "extrahosts=a:host-gateway", "ulimits=%5B%5D", "securityopt=x", "version=2", "session=x",
            "cachefrom=%5B%22a%22%5D", "squash=1", "outputs=x", "platform=x", "isolation=x", "pull=1", "new=1",
            "memory=lots", "memory=-1", "networkmode=none&networkmode=host", "cpusetcpus=0", "shmsize=9999999999",
        ])
    func refused(query: String) {
        #expect(throws: DockerFailure.self) { try Self.admit(query) }
    }

    @Test("are bounded as containers are")
    func bounds() throws {
        var policy = GuardPolicy()
        policy.maximumMemory = .mebibytes(64)
        policy.maximumCPUs = 1.5
        let query = try Self.admit("", policy)
        #expect(query.first("memory") == "67108864" && query.first("memswap") == "67108864")
        #expect(query.first("cpuperiod") == "100000" && query.first("cpuquota") == "150000")
        #expect(try Self.admit("memory=1048576&memswap=-1", policy).first("memswap") == "1048576")
        #expect(throws: DockerFailure.self) { try Self.admit("memory=999999999", policy) }
        #expect(throws: DockerFailure.self) { try Self.admit("cpuquota=200000", policy) }
        #expect(throws: DockerFailure.self) { try Self.admit("cpuperiod=1000&cpuquota=2000", policy) }
    }

    @Test(
        "reach the engine with a ticket only, unpacked, without the caller's passwords; the image is the caller's then")
    func exchange() async throws {
        try await withGuard(policy: Self.building) { rig, engine in
            let image = GuardLayersTests.text("a")
            engine.answer = { call in
                switch call.head.routePath {
                case "/build":
                    let lines = #"{"aux":{"ID":"\#(image)"}}\#n{"stream":"Successfully built aaaaaaaaaaaa\n"}\#n"#
                    return .raw("HTTP/1.1 200 OK\r\nContent-Length: \(lines.utf8.count)\r\n\r\n\(lines)")
                case "/images/aaaaaaaaaaaa/json": return .json(["Id": .string(image)])
                case "/images/\(image)/history": return .json([])
                default: return .json(["message": "no"], status: 404)
                }
            }
            let stranger = try await rig.connect()
            #expect(try await stranger.call("POST", "/build", body: "x")?.status == 403)
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/build", body: "x")?.status == 403)
            #expect(engine.calls.isEmpty)
            let packed = try GuardLayersTests.compressed(ByteBuffer(string: "context"))
            client.send(
                "POST /v1.41/build?dockerfile=a HTTP/1.1\r\nHost: d\r\nContent-Encoding: zstd\r\nX-Registry-Config: secret\r\n"
                    + "Content-Length: \(packed.readableBytes)\r\n\r\n")
            try await client.send(packed)
            #expect(try await client.response(method: "POST")?.status == 200)
            let call = try #require(engine.passed.first)
            #expect(String(buffer: call.body) == "context")
            #expect(call.head.headers.first("X-Registry-Config") == nil)
            #expect(call.head.target == "/v1.41/build?dockerfile=a&version=1&rm=1&forcerm=1")
            await engine.waitForPath("GET /images/aaaaaaaaaaaa/json")
            _ = try await client.call("POST", "/lighter/image", body: #"{"Image":"\#(image)","Missing":[]}"#)
            #expect(try await client.call("GET", "/images/\(image)/history")?.status == 200)
            #expect(try await client.call("DELETE", "/images/\(image)")?.status == 403)
        }
    }

    @Test("send what is new of their context only; each node has a shelf of its own")
    func chunks() throws {
        let folder = try ScratchFolder()
        let one = ContextCache(folder: folder.file("contexts"), origin: try NodeID("edge1"))
        let other = ContextCache(folder: folder.file("contexts"), origin: try NodeID("edge2"))
        let bytes = ByteBuffer(string: "chunk")
        let digest = ContextFrame.digest(of: bytes)
        #expect(one.load(digest) == nil && !one.has(digest))
        one.save(digest, bytes)
        #expect(one.has(digest) && one.load(digest) == bytes)
        #expect(!other.has(digest) && other.load(digest) == nil)
        // One that is not what its name says is none.
        one.save(digest, ByteBuffer(string: "other"))
        #expect(one.load(digest) == nil && !one.has(digest))
        for number in 0..<10 {
            let bytes = ByteBuffer(repeating: UInt8(number), count: 100)
            one.save(ContextFrame.digest(of: bytes), bytes)
        }
        ContextCache.sweep(folder.file("contexts"), limit: 350)
        let left = (0..<10).count { one.has(ContextFrame.digest(of: ByteBuffer(repeating: UInt8($0), count: 100))) }
        #expect(left == 3)
    }

    @Test("are told what is missing with a ticket only, and by a question that is one")
    func question() async throws {
        try await withGuard(policy: Self.building) { rig, engine in
            let body = #"{"Chunks":["\#(GuardLayersTests.text("a"))"]}"#
            let stranger = try await rig.connect()
            #expect(try await stranger.call("POST", "/lighter/chunks", body: body)?.status == 403)
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/lighter/chunks", body: body)?.status == 404, "none are kept here")
            for bad in ["{}", #"{"Chunks":[]}"#, #"{"Chunks":["../../etc"]}"#] {
                #expect(try await client.call("POST", "/lighter/chunks", body: bad)?.status == 400)
            }
            #expect(engine.calls.isEmpty)
        }
    }
}
