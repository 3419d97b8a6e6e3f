import DockerAPI
import Engine
import Fleet
import LighterTesting
import Logging
import NIOCore
import Testing

@testable import Agent
@testable import Images

#if canImport(Glibc)
    import Glibc
#endif

private let engineSocket = getenv("LIGHTER_TEST_ENGINE").map { String(cString: $0) }

/// Against a real engine that has the image `busybox`: set LIGHTER_TEST_ENGINE to its socket.
@Suite("The guard before a real engine", .serialized, .enabled(if: engineSocket != nil))
@NodeLoop
struct GuardEngineTests {
    @Test("a container is created, attached to, waited for and started; its output and exit code come back")
    func run() async throws {
        let socket = try #require(engineSocket)
        let rig = try await GuardRig(engine: socket)
        let ticket = try rig.ticket()
        let client = try await rig.connect(ticket: ticket)
        let name = "guard-\(rig.workload.hex.prefix(8))"
        let body =
            #"{"Image":"busybox","Cmd":["sh","-c","cat; exit 7"],"OpenStdin":true,"StdinOnce":true,"AttachStdin":true}"#
        let created = try #require(try await client.call("POST", "/v1.41/containers/create?name=\(name)", body: body))
        #expect(created.status == 201, "\(created.body)")
        let id = try #require(created.json?["Id"]?.stringValue)

        let attach = try await rig.connect(ticket: ticket)
        let wait = try await rig.connect(ticket: ticket)
        attach.send(
            "POST /v1.41/containers/\(id)/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
                + "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        wait.send("POST /v1.41/containers/\(id)/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\n\r\n")
        let start = try await rig.connect(ticket: ticket)
        #expect(try await start.call("POST", "/v1.41/containers/\(name)/start")?.status == 204)
        attach.send("through the guard\n")
        await attach.halfClose()
        await attach.waitForEnd()
        #expect(attach.text.hasSuffix("through the guard\n"))
        #expect(try await wait.response(method: "POST")?.json?["StatusCode"] == 7)

        let shown = try await client.call("GET", "/v1.41/containers/\(name)/json")
        #expect(shown?.json?["Name"]?.stringValue == "/\(name).edge1")
        #expect(shown?.json?["HostConfig"]?["PidsLimit"] == 4096)
        let list = try await rig.connect()
        let listed = try await list.call("GET", "/v1.41/containers/json?all=1")?.json?.arrayValue ?? []
        #expect(listed.contains { $0["Id"]?.stringValue == id })
        #expect(listed.allSatisfy { $0["Labels"]?["io.lighter.origin"] == "edge1" })
        #expect(try await client.call("DELETE", "/v1.41/containers/\(name)?force=1")?.status == 204)
        await rig.stop()
    }

    @Test("an archive without the layers that it says are there is a whole image to the engine, compressed or not")
    func sparseLoad() async throws {
        let rig = try await GuardRig(engine: try #require(engineSocket))
        let client = try await rig.connect()
        let shown = try #require(try await client.call("GET", "/images/busybox/json")?.json?["RootFS"]?["Layers"])
        let base = (shown.arrayValue ?? []).compactMap { $0.stringValue.flatMap { LayerDigest($0) } }
        var layer = TarWriter()
        layer.file("of-this-test", Array(rig.workload.hex.utf8))
        layer.end()
        let top = LayerDigest(of: layer.bytes)
        let chain = LayerDigest.chain(of: base + [top])
        #expect(try await GuardLayersTests.ask(client, chain)?.json?["Missing"] == [.string("\(chain[base.count])")])

        let layers = JSON.array((base + [top]).map { .string("\($0)") })
        let config: JSON = [
            "architecture": "amd64", "os": "linux", "config": [:], "rootfs": ["type": "layers", "diff_ids": layers],
        ]
        let id = LayerDigest(of: config.bytes)
        let paths = JSON.array((base + [top]).map { .string("\($0.hex).tar") })
        var archive = TarWriter()
        archive.file("\(id.hex).json", config.bytes)
        archive.file("\(top.hex).tar", layer.bytes)
        archive.file(
            "manifest.json", JSON.array([["Config": .string("\(id.hex).json"), "RepoTags": [], "Layers": paths]]).bytes)
        archive.end()
        try await GuardLayersTests.load(
            client, try GuardLayersTests.compressed(ByteBuffer(bytes: archive.bytes)), chunk: 1000)
        let answer = try await client.response(method: "POST")
        #expect(answer?.status == 200 && answer?.body.contains("errorDetail") == false, "\(answer?.body ?? "")")
        #expect(try await client.call("GET", "/images/\(id)/json")?.json?["RootFS"]?["Layers"] == layers)
        #expect(try await GuardLayersTests.ask(client, chain)?.json?["Missing"] == [])
        let engine = DockerClient(dialer: rig.desk.dialer)
        #expect(try await engine.request("DELETE", "/images/\(id)").status == 200)
        #expect(try await GuardLayersTests.ask(client, chain)?.json?["Missing"] == [.string("\(chain[base.count])")])
        await rig.stop()
    }

    @Test("the control plane hears of a start and an exit as the engine's events tell them")
    func reports() async throws {
        let socket = try #require(engineSocket)
        let rig = try await GuardRig(engine: socket)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let watch = EngineWatch(
            client: DockerClient(dialer: UnixDialer(path: socket)), logger: logger, handlers: rig.inventory.handlers)
        let reports = rig.reports
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await watch.run() }
            let client = try await rig.connect(ticket: rig.ticket())
            let body = #"{"Image":"busybox","Cmd":["sh","-c","sleep 1; exit 5"],"HostConfig":{"Memory":8388608}}"#
            let name = "guard-\(rig.workload.hex.prefix(8))"
            #expect(try await client.call("POST", "/containers/create?name=\(name)", body: body)?.status == 201)
            #expect(try await client.call("POST", "/containers/\(name)/start")?.status == 204)
            let exited = await reports.first(.exited, of: rig.workload)
            #expect(exited?.exitCode == 5)
            #expect(exited?.resources.memory == ByteCount(8_388_608))
            #expect(reports.list.contains { $0.state == .running })
            #expect(rig.inventory.index.reserved == .none)
            #expect(rig.inventory.isEngineUp)
            #expect(try await client.call("DELETE", "/containers/\(name)?force=1")?.status == 204)
            group.cancelAll()
        }
        await rig.stop()
    }
}
