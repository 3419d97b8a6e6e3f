import DockerAPI
import Engine
import Fleet
import NIOCore
import Testing

@testable import Agent

@Suite("A stream through the guard")
@NodeLoop
struct GuardExchangeTests {
    static let id = String(repeating: "a1", count: 32)
    static let attach =
        "POST /v1.41/containers/web/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: docker\r\n"
        + "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

    @Test("carries several requests, also when they come in one piece or byte by byte")
    func keepAlive() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { .json(["target": .string($0.head.routePath)]) }
            let client = try await rig.connect(ticket: rig.ticket())
            let requests = ["top", "changes", "json"].map {
                "GET /containers/web/\($0) HTTP/1.1\r\nHost: docker\r\n\r\n"
            }.joined()
            client.send(requests)
            for action in ["top", "changes", "json"] {
                #expect(try await client.response()?.json?["target"]?.stringValue == "/containers/\(Self.id)/\(action)")
            }
            for byte in requests.utf8 { client.send(String(Unicode.Scalar(byte))) }
            for _ in 0..<3 { #expect(try await client.response()?.status == 200) }
            #expect(engine.calls.count == 6)
        }
    }

    @Test("holds a pipelined request back until the answer before it is complete")
    func pipelined() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { $0.head.path.hasSuffix("/stop") ? .later : .json([:]) }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(
                "POST /containers/web/stop HTTP/1.1\r\nHost: d\r\n\r\nGET /containers/web/json HTTP/1.1\r\nHost: d\r\n\r\n"
            )
            await engine.waitForCalls(1)
            #expect(engine.paths() == ["POST /containers/\(Self.id)/stop"])
            engine.reply(to: "/stop", "HTTP/1.1 204 No Content\r\n\r\n")
            #expect(try await client.response(method: "POST")?.status == 204)
            #expect(try await client.response()?.status == 200)
            #expect(engine.calls.count == 2)
        }
    }

    @Test("makes a raw pipe of an attach: early bytes arrive after 101, and each half closes by itself")
    func hijack() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .echo }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(Self.attach + "early ")
            await client.wait(for: "early ")
            #expect(client.text.hasPrefix("HTTP/1.1 101 UPGRADED\r\n"))
            client.send("GET / HTTP/1.1\r\n\r\n")
            await client.wait(for: "GET / HTTP/1.1\r\n\r\n")
            await client.halfClose()
            await client.waitForEnd()
            #expect(client.text.hasSuffix("early GET / HTTP/1.1\r\n\r\n<eof>"))
            #expect(engine.calls.count == 1)
        }
    }

    @Test("keeps the client's early bytes until the engine says 101")
    func earlyBytes() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .later }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(Self.attach + "PUT /early HTTP/1.1\r\nHost: x\r\n\r\n")
            await engine.waitForCalls(1)
            // Were the early bytes sent on, the engine would have read them as a second request.
            engine.reply(to: "/attach", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
            #expect(try await client.response()?.status == 404)
            // No raw pipe was made, so they are a request to the guard like any other.
            #expect(try await client.response()?.status == 403)
            #expect(engine.calls.count == 1)
        }
    }

    @Test("takes an answer without a length for a stream that ends with the connection")
    func untilClose() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in
                .raw("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nhello")
            }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send("POST /containers/web/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n")
            await client.wait(for: "hello")
            await client.halfClose()
            await client.waitForEnd()
            #expect(client.text.hasSuffix("\r\n\r\nhello"))
        }
    }

    @Test("lets the engine switch protocols only where it was asked to")
    func unaskedUpgrade() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .echo }
            let client = try await rig.connect(ticket: rig.ticket())
            let response = try await client.call(
                "GET", "/containers/web/json", "Connection: Upgrade\r\nUpgrade: h2c\r\n")
            #expect(response?.status == 502)
            #expect(engine.calls.first?.head.headers.contains("Upgrade") == false)
        }
    }

    @Test(
        "refuses heads and bodies on whose end two parsers could disagree, and hangs up",
        arguments: [
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            "GET /_ping HTTP/1.1\r\nHost : d\r\n\r\n", "GET /_ping HTTP/1.1\r\nHost: d\r\n X: folded\r\n\r\n",
            "GET /_ping HTTP/1.1\nHost: d\n\n",
            "GET /_ping HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
            "GET https://other/_ping HTTP/1.1\r\nHost: d\r\n\r\n", "GET /_ping HTTP/2.0\r\nHost: d\r\n\r\n",
        ])
    func smuggling(bytes: String) async throws {
        try await withGuard { rig, engine in
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(bytes + "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
            let status = try await client.response()?.status ?? 0
            #expect([400, 505].contains(status))
            await client.waitForEnd()
            #expect(engine.calls.isEmpty)
        }
    }

    @Test("a form in the body cannot take the query's place, nor a body the old start's HostConfig")
    func bodiesWhereNoneBelong() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(
                "POST /containers/web/rename?name=ok HTTP/1.1\r\nHost: d\r\n"
                    + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n\r\nname=bad")
            #expect(try await client.response()?.status == 400)
            let start = try await client.call("POST", "/v1.41/containers/web/start", body: #"{"Privileged":true}"#)
            #expect(start?.status == 200)
            let call = try #require(engine.passed.first)
            #expect(call.head.framing == .none)
            #expect(call.body.readableBytes == 0)
        }
    }

    @Test("goes on after a refused request with a body, unless the body is too long to be read away")
    func drained() async throws {
        try await withGuard { rig, engine in
            let client = try await rig.connect()
            client.send("POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            #expect(try await client.response()?.status == 403)
            #expect(try await client.call("GET", "/_ping")?.status == 200)
            client.send("POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999\r\n\r\n")
            #expect(try await client.response()?.status == 403)
            try? await client.send(ByteBuffer(repeating: 0x41, count: 3 << 20))
            await client.waitForEnd()
            #expect(engine.passed.count == 1)
        }
    }

    @Test("answers Expect: 100-continue itself for bodies that it reads, and passes it on for those that it does not")
    func expectations() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .json([:]) }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(
                "POST /containers/web/update HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            await client.wait(for: "HTTP/1.1 100 Continue\r\n\r\n")
            client.send("{}")
            await client.wait(for: "200 OK")
            #expect(engine.passed.last?.head.headers.contains("Expect") == false)
            // Refused before the body came: whether it still comes is unknown, so the stream ends.
            let other = try await rig.connect(ticket: rig.ticket())
            other.send("POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await other.response()?.head.headers.first("Connection") == "close")
            await other.waitForEnd()
        }
    }

    @Test("passes 100 on from the engine, and the answer behind it")
    func interim() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(
                "PUT /containers/web/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\ntar"
            )
            await client.wait(for: "ok")
            #expect(client.text == "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            #expect(engine.passed.first.map { String(buffer: $0.body) } == "tar")
        }
    }

    @Test("an answer to HEAD has no body, whatever its length says")
    func head() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n") }
            let client = try await rig.connect()
            #expect(try await client.call("HEAD", "/_ping")?.status == 200)
            #expect(try await client.call("HEAD", "/_ping")?.status == 200)
        }
    }

    @Test("refuses uploads beyond the limit, announced or not")
    func uploads() async throws {
        var policy = GuardPolicy()
        policy.maximumImage = .kibibytes(64)
        try await withGuard(policy: policy) { rig, engine in
            let client = try await rig.connect()
            client.send("POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 70000\r\n\r\n")
            #expect(try await client.response()?.status == 413)
            let other = try await rig.connect()
            other.send("POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n")
            try? await other.send(ByteBuffer(repeating: 0x41, count: 0x20000))
            #expect(try await other.response()?.status == 413)
            await other.waitForEnd()
            #expect(engine.passed.isEmpty)
        }
    }

    @Test("carries megabytes both ways without holding them")
    func bulk() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .echo }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(Self.attach)
            await client.wait(for: "\r\n\r\n")
            let head = client.bytes.readableBytes
            for _ in 0..<64 { try await client.send(ByteBuffer(repeating: 0x42, count: 1 << 18)) }
            await client.waitForBytes(head + (16 << 20))
            #expect(client.bytes.readableBytes == head + (16 << 20))
            await client.close()
        }
    }

    @Test("says that the engine is away, and that it broke off, as what they are")
    func engineTrouble() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart") }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send("GET /containers/web/json HTTP/1.1\r\nHost: d\r\n\r\n")
            await client.wait(for: "part")
            await client.halfClose()
            await client.waitForEnd()
            #expect(client.text.hasSuffix("part"))
            await engine.stop()
            let other = try await rig.connect(ticket: rig.ticket())
            let response = try await other.call("GET", "/containers/web/json")
            #expect(response?.status == 502)
            #expect(response?.head.headers.first("X-Lighter-Refused") == "engine")
        }
    }

    @Test("holds a start back until the attach and wait before it are answered")
    func startOrder() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { call in
                call.head.path.hasSuffix("/start") ? .raw("HTTP/1.1 204 No Content\r\n\r\n") : .later
            }
            let attach = try await rig.connect(ticket: rig.ticket())
            let wait = try await rig.connect(ticket: rig.ticket())
            let start = try await rig.connect(ticket: rig.ticket())
            let other = try await rig.connect(ticket: rig.ticket())
            attach.send(Self.attach)
            await engine.waitForCalls(1)
            wait.send("POST /containers/web/wait?condition=removed HTTP/1.1\r\nHost: d\r\n\r\n")
            await engine.waitForCalls(2)
            start.send("POST /containers/web/start HTTP/1.1\r\nHost: d\r\n\r\n")
            // A request that is sent after the start overtakes it, so the start is known to be held.
            other.send("GET /containers/web/json HTTP/1.1\r\nHost: d\r\n\r\n")
            await engine.waitForCalls(3)
            engine.reply(to: "/attach", "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            await attach.wait(for: "101")
            other.send("GET /containers/web/top HTTP/1.1\r\nHost: d\r\n\r\n")
            engine.reply(to: "/json", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await engine.waitForCalls(4)
            #expect(!engine.paths().contains("POST /containers/\(Self.id)/start"))
            engine.reply(to: "/wait", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await engine.waitForCalls(5)
            #expect(engine.paths().last == "POST /containers/\(Self.id)/start")
            #expect(try await start.response(method: "POST")?.status == 204)
        }
    }

    @Test("an attach whose stream goes away holds nothing back")
    func abandonedHold() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { $0.head.path.hasSuffix("/start") ? .raw("HTTP/1.1 204 No Content\r\n\r\n") : .later }
            let attach = try await rig.connect(ticket: rig.ticket())
            attach.send(Self.attach)
            await engine.waitForCalls(1)
            let start = try await rig.connect(ticket: rig.ticket())
            start.send("POST /containers/web/start HTTP/1.1\r\nHost: d\r\n\r\n")
            await attach.close()
            #expect(try await start.response(method: "POST")?.status == 204)
        }
    }
}
