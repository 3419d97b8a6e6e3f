import DockerAPI
import Engine
import Glibc
import LighterTesting
import NIOCore
import Testing

/// A fake engine on a socket of its own and a client for it.
@NodeLoop
struct EngineFixture {
    let folder: ScratchFolder
    let engine: FakeEngine
    let client: DockerClient

    init(start: Bool = true, _ script: @escaping FakeEngine.Script) async throws {
        folder = try ScratchFolder()
        engine = FakeEngine(path: folder.file("engine.sock"), script: script)
        if start { try await engine.start() }
        client = DockerClient(dialer: UnixDialer(path: engine.path), apiVersion: "1.41")
    }

    func end() async {
        client.close()
        await engine.stop()
    }
}

@Suite("Calls to an engine", .timeLimit(.minutes(1)))
@NodeLoop
struct DockerClientTests {
    @Test("Calls in a row share a connection, and name the version")
    func keepAlive() async throws {
        let fixture = try await EngineFixture { request in
            .json(["target": .string(request.head.target), "body": .string(String(buffer: request.body))])
        }
        for number in 0..<3 {
            let answer = try await fixture.client.request("POST", "/n\(number)", body: ByteBuffer(string: "b\(number)"))
            let json = try answer.checked().json()
            #expect(json["target"] == .string("/v1.41/n\(number)"))
            #expect(json["body"] == .string("b\(number)"))
        }
        #expect(fixture.engine.connections == 1)
        await fixture.end()
    }

    @Test(
        "Every framing gives the same body",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello world",
            "HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        ])
    func framings(_ answer: String) async throws {
        let fixture = try await EngineFixture { _ in .rawThenClose(answer) }
        let response = try await fixture.client.request("GET", "/x")
        #expect(String(buffer: response.body) == "hello world")
        await fixture.end()
    }

    @Test(
        "An answer that breaks off is an error and not a short body",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "HTTP/1.1 200 OK\r\nContent-", "",
        ])
    func brokenOff(_ answer: String) async throws {
        let fixture = try await EngineFixture { _ in .rawThenClose(answer) }
        await #expect { try await fixture.client.request("POST", "/x") } throws: {
            ($0 as? EngineError)?.code == .closed
        }
        await fixture.end()
    }

    @Test("An answer that is not HTTP is malformed")
    func malformed() async throws {
        let fixture = try await EngineFixture { _ in .raw("HTTP/1.1 200 OK\nA: b\n\n") }
        await #expect { try await fixture.client.request("GET", "/x") } throws: {
            ($0 as? EngineError)?.code == .malformed
        }
        await fixture.end()
    }

    @Test("A missing socket is told in the docker CLI's words")
    func missing() async throws {
        let fixture = try await EngineFixture(start: false) { _ in .silence }
        await #expect { try await fixture.client.request("GET", "/x") } throws: { error in
            guard let error = error as? EngineError else { return false }
            return error.code == .unreachable
                && error.message
                    == "Cannot connect to the Docker daemon at unix://\(fixture.engine.path). Is the docker daemon running?"
                && error.description == "\(error.message) (No such file or directory)"
        }
    }

    @Test("The engine's refusal keeps its status and its words")
    func refused() async throws {
        let fixture = try await EngineFixture { _ in .json(["message": "No such container: x"], status: 404) }
        let response = try await fixture.client.request("GET", "/containers/x/json")
        let error = #expect(throws: EngineError.self) { try response.checked() }
        #expect(error?.failure == DockerFailure.noSuchContainer("x"))
        await fixture.end()
    }

    @Test("A body past the limit is refused")
    func limit() async throws {
        let fixture = try await EngineFixture { _ in .json(.string(String(repeating: "a", count: 100_000))) }
        await #expect { try await fixture.client.request("GET", "/x", limit: 10_000) } throws: {
            ($0 as? EngineError)?.code == .tooLarge
        }
        await fixture.end()
    }

    @Test("A timeout ends a call that the engine does not answer")
    func timeout() async throws {
        let fixture = try await EngineFixture { _ in .silence }
        await #expect { try await fixture.client.request("GET", "/x", timeout: .milliseconds(20)) } throws: {
            ($0 as? EngineError)?.code == .timeout
        }
        await fixture.end()
    }

    @Test("A cancelled call ends at once")
    func cancelled() async throws {
        let fixture = try await EngineFixture { _ in .silence }
        let client = fixture.client
        let call = Task { try await client.request("GET", "/x") }
        call.cancel()
        await #expect { try await call.value } throws: { ($0 as? EngineError)?.code == .cancelled }
        await fixture.end()
    }

    @Test("A kept connection that the engine closed meanwhile is not noticed by the caller")
    func stale() async throws {
        let fixture = try await EngineFixture { request in request.connection == 1 ? .json([:]) : .json(["again": true])
        }
        _ = try await fixture.client.request("GET", "/x")
        await fixture.engine.stop()
        try await fixture.engine.start()
        let answer = try await fixture.client.request("GET", "/x")
        #expect(try answer.json() == ["again": true])
        await fixture.end()
    }

    @Test("A body can be streamed up, piece by piece")
    func upload() async throws {
        let fixture = try await EngineFixture { .json(.int($0.body.readableBytes)) }
        let piece = ByteBuffer(repeating: 7, count: 50_000)
        let pieces = AsyncStream<ByteBuffer> { stream in
            for _ in 0..<40 { stream.yield(piece) }
            stream.finish()
        }
        let answer = try await fixture.client.stream("POST", "/images/load", body: .stream(pieces))
        #expect(try await answer.collect().json() == 2_000_000)
        await fixture.end()
    }

    @Test("A reader who does not read slows the engine down, and gets every byte in the end")
    func backPressure() async throws {
        let size = 16 << 20
        let text = "HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n" + String(repeating: "a", count: size)
        let fixture = try await EngineFixture { $0.line == "GET /big" ? .raw(text) : .json([:]) }
        let big = try await fixture.client.stream("GET", "/big")
        for _ in 0..<50 { try await fixture.client.request("GET", "/small").checked() }
        #expect(fixture.engine.answersSent == 0)
        #expect(try await big.collect().body.readableBytes == size)
        await fixture.end()
    }

    @Test("A stream that is let go closes its connection, and others do not suffer")
    func letGo() async throws {
        let fixture = try await EngineFixture { $0.line == "GET /events" ? .stream : .json([:]) }
        let events = try await fixture.client.stream("GET", "/events")
        #expect(events.status == 200)
        events.cancel()
        _ = try await fixture.client.request("GET", "/x").checked()
        #expect(fixture.engine.connections == 2)
        await fixture.end()
    }
}
