import DockerAPI
import LighterTesting
import NIOCore
import Testing

@testable import FrontDoor

/// Requests that are passed on to an engine, byte for byte.
@Suite("Splicing requests and answers", .timeLimit(.minutes(1)))
struct SplicingTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test("Requests that follow each other on one connection are answered in order, over one connection to the engine")
    func keepAlive() async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            try await client.send("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n")
            let (backend, head) = try await engine.call()
            #expect(head == "GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n", "not a byte is changed")
            try await backend.send(Self.ok)
            #expect(try await client.receive(to: "ok") == Self.ok)
            for number in 0..<20 {
                try await client.send("GET /images/\(number)/json HTTP/1.1\r\nHost: d\r\n\r\n")
                #expect(try await backend.receiveHead().hasPrefix("GET /images/\(number)/json"))
                try await backend.send(Self.ok)
                #expect(try await client.receive(to: "ok") == Self.ok)
            }
            await client.close()
            try await backend.closed()
        }
    }

    @Test("What another node's engine refuses is told in the user's words, whatever that makes of its length")
    func refusal() async throws {
        try await Rig.with { rig in
            let there = FakeEngine(path: rig.folder.file("1.sock")) { request in
                request.head.method == "DELETE"
                    ? .json(["message": "cannot remove container \"/web.edge1\": container is running"], status: 409)
                    : .raw("HTTP/1.1 500 Oh\r\nContent-Length: 16\r\n\r\nnot of web.edge1")
            }
            try await there.start()
            let node = try await rig.addNode(enginePath: there.path, route: "web")
            let client = try await rig.client()
            try await client.send("DELETE /containers/web HTTP/1.1\r\nHost: d\r\n\r\n")
            let answer = try await client.receive(to: "is running\"}\n")
            #expect(answer.hasSuffix(#"{"message":"cannot remove container \"/web\": container is running"}"# + "\n"))
            let length = answer.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }
            #expect(length.map { String($0.dropFirst(16)) } == "\(answer.split(separator: "\r\n\r\n")[1].utf8.count)")
            // What is no message passes as it is.
            try await client.send("POST /containers/web/pause HTTP/1.1\r\nHost: d\r\n\r\n")
            #expect(try await client.receive(to: "web.edge1").hasSuffix("Content-Length: 16\r\n\r\nnot of web.edge1"))
            await node.stop()
            await there.stop()
        }
    }

    @Test("A pipelined request waits until the one before it has been answered, and is not lost")
    func pipelining() async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            try await client.send(
                "POST /auth HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nbodyGET /networks HTTP/1.1\r\nHost: d\r\n\r\n"
            )
            let (backend, head) = try await engine.call()
            #expect(head.hasPrefix("POST /auth"))
            #expect(String(buffer: try await backend.receive(count: 4)) == "body")
            _ = try await rig.get("/_ping")
            #expect(backend.unread == "", "the second request is held back")
            try await backend.send(Self.ok)
            _ = try await client.receive(to: "ok")
            #expect(try await backend.receiveHead().hasPrefix("GET /networks"))
            try await backend.send(Self.ok)
            _ = try await client.receive(to: "ok")
        }
    }

    @Test("Pipelined requests of a client that has said its last word are all answered")
    func pipeliningThenEnd() async throws {
        try await Rig.with { rig in
            let engine = FakeEngine(path: rig.enginePath) { .json(.string($0.line)) }
            try await engine.start()
            let client = try await rig.client()
            try await client.send(
                "GET /networks HTTP/1.1\r\nHost: d\r\n\r\nGET /volumes HTTP/1.1\r\nHost: d\r\n\r\nGET /images/json HTTP/1.1\r\nHost: d\r\n\r\n"
            )
            try await client.finish()
            let answers = String(buffer: try await client.receiveToEnd())
            for line in ["GET /networks", "GET /volumes", "GET /images/json"] {
                #expect(answers.contains(line), "\(line) in \(answers)")
            }
            await engine.stop()
        }
    }

    @Test("Answers larger than what may wait for a client do not stop the next one on the same connection")
    func largeAnswers() async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            var backend: Peer?
            for round in 1...30 {
                let body = ByteBuffer(repeating: 0x61, count: round * 20_000)
                try await client.send("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n")
                if let backend { _ = try await backend.receiveHead() }
                let peer = if let backend { backend } else { try await engine.call().0 }
                backend = peer
                let answer = ByteBuffer(
                    string: "HTTP/1.1 200 OK\r\nContent-Length: \(body.readableBytes)\r\n\r\n\(String(buffer: body))")
                async let sent: Void = peer.send(answer)
                _ = try await client.receiveHead()
                #expect(try await client.receive(count: body.readableBytes) == body)
                try await sent
            }
        }
    }

    @Test(
        "Answers without a body end with their head",
        arguments: [
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
        ])
    func bodiless(method: String, answer: String) async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            try await client.send("\(method) /containers/x/archive HTTP/1.1\r\nHost: d\r\n\r\n")
            let (backend, _) = try await engine.call()
            try await backend.send(answer)
            #expect(try await client.receiveHead() == answer)
            try await client.send("GET /networks HTTP/1.1\r\nHost: d\r\n\r\n")
            _ = try await backend.receiveHead()
            try await backend.send(Self.ok)
            #expect(try await client.receive(to: "ok") == Self.ok)
        }
    }

    @Test("Chunks, their extensions and trailers pass both ways as they are, however they are cut")
    func chunked() async throws {
        let body = "4;name=value\r\nwiki\r\n5\r\npedia\r\n0\r\nDigest: abc\r\nOther: 1\r\n\r\n"
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            let head =
                "PUT /containers/x/archive HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nTrailer: Digest\r\n\r\n"
            for byte in (head + body).utf8 { try await client.send(ByteBuffer(bytes: [byte])) }
            let (backend, seen) = try await engine.call()
            #expect(seen == head)
            #expect(try await backend.receive(to: "Other: 1\r\n\r\n") == body)
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            for byte in (answer + body).utf8 { try await backend.send(ByteBuffer(bytes: [byte])) }
            #expect(try await client.receive(to: "Other: 1\r\n\r\n") == answer + body)
            try await client.send("GET /networks HTTP/1.1\r\nHost: d\r\n\r\n")
            #expect(try await backend.receiveHead().hasPrefix("GET /networks"))
        }
    }

    @Test("A body of very many chunks reaches an engine that reads slowly to its last one")
    func manyChunks() async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            for count in [70, 300, 5000] {
                let client = try await rig.client()
                let chunk = "400\r\n" + "x".repeated(1024) + "\r\n"
                let body = ByteBuffer(string: chunk.repeated(count) + "0\r\n\r\n")
                try await client.send(
                    "PUT /containers/x/archive HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
                let (backend, _) = try await engine.call()
                try await backend.setReading(false)
                async let sent: Void = client.send(body)
                _ = try await rig.get("/_ping")
                try await backend.setReading(true)
                #expect(try await backend.receive(count: body.readableBytes) == body)
                try await sent
                try await backend.send(Self.ok)
                #expect(try await client.receive(to: "ok") == Self.ok)
                await client.close()
            }
        }
    }

    @Test("Expect: 100-continue is the engine's to answer, and the real answer still comes")
    func expect() async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            try await client.send(
                "POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            let (backend, _) = try await engine.call()
            #expect(client.unread == "")
            try await backend.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
            #expect(try await client.receiveHead() == "HTTP/1.1 102 Processing\r\n\r\n")
            #expect(try await client.receiveHead() == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send("body")
            #expect(String(buffer: try await backend.receive(count: 4)) == "body")
            try await backend.send(Self.ok)
            #expect(try await client.receive(to: "ok") == Self.ok)
        }
    }

    @Test("An answer before the body's end closes the connection behind it: where the body ends cannot be known")
    func answerBeforeBody() async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            try await client.send("POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 400\r\n\r\npart")
            let (backend, _) = try await engine.call()
            let answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nno\n"
            try await backend.send(answer)
            #expect(String(buffer: try await client.receiveToEnd()) == answer)
            try await backend.closed()
        }
    }

    @Test(
        "A body of a job that is over its limit is refused with 413, a 1 MB head with 431, and the engine sees neither")
    func tooLarge() async throws {
        try await Rig.with { rig in
            let engine = FakeEngine(path: rig.enginePath) { _ in .json([:]) }
            try await engine.start()
            let client = try await rig.client()
            try await client.send("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999\r\n\r\n")
            async let flood: Void = client.send(ByteBuffer(repeating: 0x20, count: 17 << 20))
            #expect(try await client.receiveHead().hasPrefix("HTTP/1.1 413 "))
            _ = try? await flood
            let other = try await rig.client()
            async let head: Void = other.send(
                "GET /images/json HTTP/1.1\r\nHost: d\r\nX-Long: " + "a".repeated(1 << 20))
            #expect(try await other.receiveHead().hasPrefix("HTTP/1.1 431 "))
            _ = try? await head
            #expect(engine.requests.allSatisfy { $0.line == "GET /_ping" })
            await engine.stop()
        }
    }

    @Test(
        "What two parsers could read in two ways is refused with 400, and the engine sees none of it",
        arguments: [
            "POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: +3\r\n\r\nabc",
            "GET /images/json HTTP/1.1\r\nHost: d\r\nX: a\r\n folded\r\n\r\n",
            "GET /images/json HTTP/1.1\r\nHost : d\r\n\r\n", "GET /images/json HTTP/1.1\nHost: d\n\n",
            "GET http://a@d/images/json HTTP/1.1\r\nHost: d\r\n\r\n", "garbage\r\n\r\n", "\u{16}\u{03}\u{01}\r\n\r\n",
        ])
    func ambiguous(request: String) async throws {
        try await Rig.with { rig in
            let engine = FakeEngine(path: rig.enginePath) { _ in .json([:]) }
            try await engine.start()
            let client = try await rig.client()
            try await client.send(request)
            let answer = String(buffer: try await client.receiveToEnd())
            #expect(answer.hasPrefix("HTTP/1.1 400 ") && answer.contains(#""message""#), "\(answer)")
            #expect(engine.requests.allSatisfy { $0.line == "GET /_ping" })
            await engine.stop()
        }
    }

    @Test("A chunk that is not one ends the request, and the engine sees its connection closed")
    func badChunk() async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            try await client.send(
                "POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
            #expect(try await client.receiveHead().hasPrefix("HTTP/1.1 400 "))
            let (backend, _) = try await engine.call()
            #expect(!String(buffer: try await backend.receiveToEnd()).contains("zz"))
        }
    }
}
