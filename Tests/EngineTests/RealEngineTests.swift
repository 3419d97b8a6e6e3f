import DockerAPI
import Engine
import Glibc
import Logging
import NIOCore
import Testing

private let socket = getenv("LIGHTER_TEST_ENGINE").map { String(cString: $0) }

@Suite("Real engine", .enabled(if: socket != nil), .timeLimit(.minutes(2)))
@NodeLoop
struct RealEngineTests {
    private func client() throws -> DockerClient {
        DockerClient(dialer: UnixDialer(path: try #require(socket)), apiVersion: "1.41")
    }

    @Test("It says what it is")
    func identity() async throws {
        let identity = try await EngineIdentity.read(try client())
        #expect(identity.platform.hasPrefix("linux/"))
        #expect(identity.cpus > 0)
        #expect("\(identity.memory)" != "0 B")
        #expect(identity.dataRoot.hasPrefix("/"))
    }

    @Test("A container's whole life is seen: create, start, logs, exit by pidfd before the event, remove")
    func life() async throws {
        let client = try client()
        let name = "lighter-test-\(UInt32.random(in: 0 ... .max))"
        let (dies, tell) = AsyncStream<String>.makeStream()
        let (ready, up) = AsyncStream<Void>.makeStream()
        let watch = EngineWatch(
            client: client, logger: Logger(label: "test"),
            handlers: .init(
                up: { _, _ in up.yield() },
                event: { event in
                    if event.attributes["name"] == name, event.action == "die" { tell.yield("event") }
                }))
        let running = Task { await watch.run() }
        for await _ in ready { break }
        let body: JSON = [
            "Image": "busybox", "Cmd": ["sh", "-c", "echo hello; read x; exit 3"], "OpenStdin": true, "Tty": false,
        ]
        let created = try await client.request("POST", "/containers/create?name=\(name)", body: body.buffer).checked()
            .json()
        let id = try #require(created["Id"]?.stringValue)
        try await client.request("POST", "/containers/\(id)/start").checked()
        let inspected = try await client.request("GET", "/containers/\(id)/json").checked().json()
        let pid = Int32(truncatingIfNeeded: inspected["State"]?["Pid"]?.intValue ?? 0)
        let exits = ExitWatch(loop: NodeLoop.shared.loop)
        let outcome = exits.watch(pid: pid, containerID: id) { _ in tell.yield("exit") }
        try await client.request("POST", "/containers/\(id)/kill?signal=KILL").checked()
        var iterator = dies.makeAsyncIterator()
        if case .watching = outcome { #expect(await iterator.next() == "exit") }
        #expect(await iterator.next() == "event")
        let logs = try await client.request("GET", "/containers/\(id)/logs?stdout=1").checked()
        var bytes = logs.body
        #expect(try RawStreamFrame.read(&bytes) == RawStreamFrame(kind: .stdout, size: 6))
        try await client.request("DELETE", "/containers/\(id)?force=1").checked()
        exits.stop()
        running.cancel()
        await running.value
        client.close()
        print("exit watch: \(outcome)")
    }

    @Test("A large answer is read with back-pressure to its last byte")
    func export() async throws {
        let client = try client()
        let stream = try await client.stream("GET", "/images/busybox/get")
        var length = 0
        for try await piece in stream.body { length += piece.readableBytes }
        #expect(length > 1_000_000)
        client.close()
    }
}
