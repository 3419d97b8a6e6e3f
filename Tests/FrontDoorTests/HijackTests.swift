import LighterTesting
import NIOCore
import Testing

@testable import FrontDoor

/// Streams that have stopped being HTTP.
@Suite("Hijacked streams", .timeLimit(.minutes(1)))
struct HijackTests {
    enum Way: String, CaseIterable { case here, away }

    private static let attach =
        "POST /containers/web/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    private static let upgraded = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

    /// A client and the engine that its container runs on, here or behind a link.
    private func with(_ way: Way, _ body: @escaping @Sendable (Rig, RawEngine) async throws -> Void) async throws {
        try await Rig.with { rig in
            let here = try await RawEngine(path: rig.enginePath)
            guard way == .away else { return try await body(rig, here) }
            let there = try await RawEngine(path: rig.folder.file("cloud.sock"))
            let node = try await rig.addNode(enginePath: rig.folder.file("cloud.sock"), route: "web")
            try await body(rig, there)
            await node.stop()
        }
    }

    /// The attach's connection; what else a front door asks of a node is left unanswered.
    private func attached(_ engine: RawEngine) async throws -> Peer {
        while true {
            let (backend, head) = try await engine.call()
            if head.contains("/attach") { return backend }
        }
    }

    @Test(
        "Bytes that follow an upgrade wait for the engine's 101, then nothing is changed in either direction",
        arguments: Way.allCases)
    func upgrade(way: Way) async throws {
        try await with(way) { rig, engine in
            let client = try await rig.client()
            try await client.send(Self.attach + "early")
            let backend = try await attached(engine)
            _ = try await rig.get("/_ping")
            #expect(backend.unread == "", "held until the engine has agreed")
            try await backend.send(Self.upgraded + "\u{01}hello")
            #expect(try await client.receive(to: "hello") == Self.upgraded + "\u{01}hello")
            #expect(try await backend.receive(to: "early") == "early")
            try await client.send("GET / HTTP/1.1\r\n\r\n")
            #expect(try await backend.receiveHead() == "GET / HTTP/1.1\r\n\r\n", "these are a container's bytes now")
            await client.close()
            try await backend.closed()
        }
    }

    @Test("An upgrade that the engine refuses is an answer like any other")
    func refused() async throws {
        try await with(.here) { rig, engine in
            let client = try await rig.client()
            try await client.send(Self.attach)
            let backend = try await attached(engine)
            let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"
            try await backend.send(answer)
            #expect(try await client.receive(to: "{}") == answer)
            try await client.send("GET /networks HTTP/1.1\r\nHost: d\r\n\r\n")
            #expect(try await backend.receiveHead().hasPrefix("GET /networks"))
        }
    }

    @Test("An answer without a length is a stream, too, and ends with the connection")
    func withoutLength() async throws {
        try await with(.here) { rig, engine in
            let client = try await rig.client()
            try await client.send("POST /containers/web/attach HTTP/1.1\r\nHost: d\r\n\r\n")
            let backend = try await attached(engine)
            try await backend.send("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\none")
            _ = try await client.receive(to: "one")
            try await client.send("two")
            #expect(try await backend.receive(to: "two") == "two")
            await backend.close()
            _ = try await client.receiveToEnd()
        }
    }

    @Test(
        "Everything that a client said before its end reaches an engine that reads slowly, and then the end does",
        arguments: Way.allCases)
    func inputToTheLastByte(way: Way) async throws {
        let input = ByteBuffer(bytes: (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ ($0 >> 8)) })
        try await with(way) { rig, engine in
            let client = try await rig.client()
            try await client.send(Self.attach)
            let backend = try await attached(engine)
            try await backend.setReading(false)
            try await backend.send(Self.upgraded)
            _ = try await client.receiveHead()
            async let sent: Void = client.send(input)
            _ = try await rig.get("/_ping")
            try await backend.setReading(true)
            try await sent
            try await client.finish()
            #expect(try await backend.receiveToEnd() == input)
            try await backend.send("result")
            await backend.close()
            #expect(String(buffer: try await client.receiveToEnd()) == "result", "the other direction was still open")
        }
    }

    @Test(
        "Everything that an engine said before its end reaches a client that reads slowly, and input still goes on",
        arguments: Way.allCases)
    func outputToTheLastByte(way: Way) async throws {
        let output = ByteBuffer(bytes: (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ ($0 >> 8)) })
        try await with(way) { rig, engine in
            let client = try await rig.client()
            try await client.send(Self.attach)
            let backend = try await attached(engine)
            try await client.setReading(false)
            async let sent: Void = {
                try await backend.send(Self.upgraded)
                try await backend.send(output)
                try await backend.finish()
            }()
            _ = try await rig.get("/_ping")
            try await client.setReading(true)
            _ = try await client.receiveHead()
            #expect(try await client.receiveToEnd() == output)
            try await sent
            try await client.send("still here")
            #expect(try await backend.receive(to: "here") == "still here")
            try await client.finish()
            try await backend.closed()
            try await client.closed()
        }
    }

    @Test(
        "An engine that has said its last word still gets all of the client's, though both have ended",
        arguments: Way.allCases)
    func bothEnds(way: Way) async throws {
        let input = ByteBuffer(bytes: (0..<(4 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ ($0 >> 8)) })
        try await with(way) { rig, engine in
            let client = try await rig.client()
            try await client.send(Self.attach)
            let backend = try await attached(engine)
            try await backend.send(Self.upgraded)
            _ = try await client.receiveHead()
            try await backend.setReading(false)
            async let sent: Void = {
                try await client.send(input)
                try await client.finish()
            }()
            try await backend.finish()
            _ = try await client.receiveToEnd()
            try await backend.setReading(true)
            try await sent
            #expect(try await backend.receiveToEnd() == input)
        }
    }

    @Test("A client that writes and closes at once is heard to its last byte", arguments: Way.allCases)
    func writeAndClose(way: Way) async throws {
        let input = ByteBuffer(repeating: 0x61, count: 100_000)
        try await with(way) { rig, engine in
            let client = try await rig.client()
            try await client.send(Self.attach)
            let backend = try await attached(engine)
            try await backend.send(Self.upgraded)
            _ = try await client.receiveHead()
            try await client.send(input)
            await client.close()
            #expect(try await backend.receiveToEnd() == input)
            await backend.close()
        }
    }

    /// Writes until nothing has been taken for as long as forty other requests take.
    /// - Returns: how many bytes have been written.
    private static func fill(_ peer: Peer, _ rig: Rig) async throws -> Int {
        let piece = ByteBuffer(repeating: 0x61, count: 1 << 16)
        let channel = peer.channel
        var written = 0
        var idle = 0
        while idle < 40, written < 64 << 20 {
            if channel.isWritable {
                idle = 0
                written += piece.readableBytes
                // On the loop, so that whether it may be written is true when this returns.
                try await channel.eventLoop.submit { channel.writeAndFlush(piece, promise: nil) }.get()
            } else {
                idle += 1
                _ = try await rig.get("/_ping")
            }
        }
        return written
    }

    @Test("A client that does not read stops the engine, and little is kept in between", arguments: Way.allCases)
    func backPressure(way: Way) async throws {
        try await with(way) { rig, engine in
            let client = try await rig.client()
            try await client.send(Self.attach)
            let backend = try await attached(engine)
            try await backend.send(Self.upgraded)
            _ = try await client.receiveHead()
            try await client.setReading(false)
            let written = try await Self.fill(backend, rig)
            #expect(written < 16 << 20, "\(written) bytes were taken for a client that reads none")
            try await client.setReading(true)
            #expect(try await client.receive(count: written).readableBytes == written)
            await client.close()
        }
    }

    @Test("An engine that does not read stops the client, and little is kept in between", arguments: Way.allCases)
    func inputPressure(way: Way) async throws {
        try await with(way) { rig, engine in
            let client = try await rig.client()
            try await client.send(Self.attach)
            let backend = try await attached(engine)
            try await backend.send(Self.upgraded)
            _ = try await client.receiveHead()
            try await backend.setReading(false)
            let written = try await Self.fill(client, rig)
            #expect(written < 16 << 20, "\(written) bytes were taken for an engine that reads none")
            try await backend.setReading(true)
            #expect(try await backend.receive(count: written).readableBytes == written)
            await client.close()
        }
    }

    @Test("A body goes on once a link that had to be waited for stands")
    func lateLink() async throws {
        try await with(.away) { rig, engine in
            rig.plane.hideLinks()
            let client = try await rig.client()
            try await client.send(
                "PUT /containers/web/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Length: 300000\r\n\r\n")
            async let sent: Void = client.send(ByteBuffer(repeating: 0x61, count: 300_000))
            while true {
                let (backend, head) = try await engine.call()
                guard head.hasPrefix("PUT ") else { continue }
                #expect(try await backend.receive(count: 300_000).readableBytes == 300_000)
                try await backend.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                break
            }
            try await sent
            #expect(try await client.receiveHead().hasPrefix("HTTP/1.1 200 "))
        }
    }
}
