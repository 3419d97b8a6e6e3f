import DockerAPI
import Engine
import Fleet
import LighterTesting
import NIOCore
import Testing

@testable import FrontDoor

@Suite("Streams of a container that is begun elsewhere", .timeLimit(.minutes(1)))
struct SuccessionTests {
    private static let upgraded = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    private static let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    private static func frame(_ text: String) -> ByteBuffer { RawStreamFrame.frame(.stdout, ByteBuffer(string: text)) }
    private static func shown(_ text: String) -> String { String(buffer: frame(text)) }
    private static func chunk(_ text: String) -> ByteBuffer { ChunkedEncoding.chunk(frame(text)) }

    /// A device with a container at the first of two nodes.
    private struct Scene: Sendable {
        let rig: Rig
        let first, second: RawEngine
        let lost: FakeNode

        @NodeLoop
        func beginMove() { rig.door.moving.insert(Rig.cloud) }

        /// It has been made at the other node, and is not started.
        @NodeLoop
        func make() throws {
            guard var route = rig.routes[Rig.cloud] else { return }
            route.target = try NodeID("cloud2")
            route.epoch = 2
            try rig.routes.put(route)
        }

        @NodeLoop
        func remove() {
            guard let route = rig.routes[Rig.cloud] else { return }
            rig.door.drop(route)
        }

        @NodeLoop
        func endMove() { rig.door.moving.remove(Rig.cloud) }

        func asks(_ method: String, _ path: String) async throws -> Peer {
            let client = try await rig.client()
            let upgrade = method == "POST" ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : ""
            try await client.send("\(method) /v1.41/containers/web/\(path) HTTP/1.1\r\nHost: d\r\n\(upgrade)\r\n")
            return client
        }
    }

    private func with(
        _ kind: LossPolicy.Kind = .rerun, _ body: @escaping @Sendable (Scene) async throws -> Void
    ) async throws {
        try await Rig.with(engine: false) { rig in
            let first = try await RawEngine(path: rig.folder.file("1.sock"))
            let second = try await RawEngine(path: rig.folder.file("2.sock"))
            let lost = try await rig.addNode("cloud1", enginePath: rig.folder.file("1.sock"), route: "web")
            let other = try await rig.addNode("cloud2", enginePath: rig.folder.file("2.sock"))
            try await rig.lose(as: kind)
            try await body(Scene(rig: rig, first: first, second: second, lost: lost))
            await other.stop()
        }
    }

    /// The connection that a call with these words in its head has come on; what else is asked is left unanswered.
    private func call(_ engine: RawEngine, _ words: String) async throws -> (Peer, String) {
        while true {
            let (backend, head) = try await engine.call()
            if head.contains(words) { return (backend, head) }
        }
    }

    /// Answers that the container has ended, to who asks because its output has.
    private func tellEnd(_ engine: RawEngine) async throws {
        let (asked, _) = try await call(engine, "/containers/\(Rig.cloud)/json")
        let state = "{\"State\":{\"Status\":\"exited\"}}"
        try await asked.send("HTTP/1.1 200 OK\r\nContent-Length: \(state.utf8.count)\r\n\r\n\(state)")
    }

    @Test("Who was attached hears the new container from its first word, over the same connection, in whole frames")
    func attach() async throws {
        try await with { scene in
            let client = try await scene.asks("POST", "attach?stream=1&stdin=1&stdout=1&logs=1")
            let (old, _) = try await call(scene.first, "/attach")
            try await old.send(Self.upgraded)
            try await old.send(Self.frame("before\n"))
            var cut = Self.frame("lost for ever\n")
            try await old.send(cut.readSlice(length: 11) ?? ByteBuffer())
            #expect(try await client.receive(to: "before\n") == Self.upgraded + Self.shown("before\n"))
            await scene.beginMove()
            await scene.lost.stop()
            try await scene.make()
            let (new, head) = try await call(scene.second, "/attach")
            #expect(head.hasPrefix("POST /v1.41/containers/\(Rig.cloud)/attach?stream=1&stdin=1&stdout=1 "))
            async let follows: Void = scene.rig.door.letAttachedFollow(Rig.cloud)
            try await new.send(Self.upgraded)
            try await new.send(Self.frame("after\n"))
            await follows
            #expect(try await client.receive(to: "after\n") == Self.shown("after\n"))
            await scene.endMove()
            try await client.send("input")
            #expect(try await new.receive(to: "input") == "input")
            await new.close()
            try await tellEnd(scene.second)
            #expect(try await client.receiveToEnd().readableBytes == 0)
        }
    }

    private static func message(_ text: String) -> ByteBuffer {
        var frame = ByteBuffer(bytes: [0x82, UInt8(text.utf8.count)])
        frame.writeString(text)
        return frame
    }

    @Test("Who is attached over a WebSocket hears the new container in whole frames, and the old one's last word never")
    func webSocket() async throws {
        try await with { scene in
            let client = try await scene.rig.client()
            let upgrade =
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a2V5\r\nSec-WebSocket-Version: 13\r\n"
            try await client.send(
                "GET /v1.41/containers/web/attach/ws?stream=1&stdout=1&logs=1 HTTP/1.1\r\nHost: d\r\n\(upgrade)\r\n")
            let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            let (old, _) = try await call(scene.first, "/attach/ws")
            try await old.send(accepted)
            try await old.send(Self.message("before"))
            #expect(try await client.receiveHead().hasPrefix("HTTP/1.1 101"))
            #expect(try await client.receive(count: 8) == Self.message("before"))
            await scene.beginMove()
            try await old.send(ByteBuffer(bytes: [0x88, 2, 3, 0xe8]))
            await old.close()
            try await scene.make()
            let (new, head) = try await call(scene.second, "/attach/ws")
            #expect(head.hasPrefix("GET /v1.41/containers/\(Rig.cloud)/attach/ws?stream=1&stdout=1 "))
            #expect(head.contains("Sec-WebSocket-Key: a2V5"))
            async let follows: Void = scene.rig.door.letAttachedFollow(Rig.cloud)
            try await new.send(accepted)
            var rest = Self.message("after")
            try await new.send(rest.readSlice(length: 4) ?? ByteBuffer())
            await follows
            try await new.send(rest)
            let heard = try await client.receive(count: 7)
            #expect(heard == Self.message("after"))
            await scene.endMove()
            try await client.send("input")
            #expect(try await new.receive(to: "input") == "input")
            let last = ByteBuffer(bytes: [0x88, 0])
            try await new.send(last)
            await new.close()
            try await tellEnd(scene.second)
            #expect(try await client.receiveToEnd() == last)
        }
    }

    @Test("A container does not start elsewhere before those who were attached are so again")
    func order() async throws {
        try await with { scene in
            let client = try await scene.asks("POST", "attach?stream=1&stdout=1")
            let (old, _) = try await call(scene.first, "/attach")
            try await old.send(Self.upgraded)
            _ = try await client.receiveHead()
            await scene.beginMove()
            await scene.lost.stop()
            try await scene.make()
            let (new, _) = try await call(scene.second, "/attach")
            #expect(await scene.rig.isFollowed() == false)
            try await new.send(Self.upgraded)
            await scene.rig.door.letAttachedFollow(Rig.cloud)
            #expect(await scene.rig.isFollowed())
            await client.close()
        }
    }

    @Test("Logs go on with all that the new container has written, whatever was asked of the old one's")
    func logs() async throws {
        try await with { scene in
            let client = try await scene.asks("GET", "logs?follow=1&stdout=1&tail=1&since=5")
            let (old, _) = try await call(scene.first, "/logs")
            try await old.send(Self.chunked)
            try await old.send(Self.chunk("before\n"))
            // Cut in the middle of a chunk, and of a frame.
            try await old.send("20\r\n\u{1}\0\0\0\0\0\0\u{18}lost")
            _ = try await client.receive(to: "before\n\r\n")
            await scene.beginMove()
            await scene.lost.stop()
            try await scene.make()
            await scene.endMove()
            let (new, head) = try await call(scene.second, "/logs")
            #expect(head.hasPrefix("GET /v1.41/containers/\(Rig.cloud)/logs?follow=1&stdout=1 "))
            try await new.send(Self.chunked)
            try await new.send(Self.chunk("after\n"))
            try await new.send(ChunkedEncoding.end)
            try await tellEnd(scene.second)
            #expect(
                try await client.receive(to: "0\r\n\r\n") == String(buffer: Self.chunk("after\n")) + "0\r\n\r\n")
        }
    }

    @Test("Logs that end because their container is stopped to be moved go on, too")
    func stopped() async throws {
        try await with(.hold) { scene in
            let client = try await scene.asks("GET", "logs?follow=1&stdout=1")
            let (old, _) = try await call(scene.first, "/logs")
            await scene.beginMove()
            try await old.send(Self.chunked)
            try await old.send(Self.chunk("before\n"))
            try await old.send(ChunkedEncoding.end)
            _ = try await client.receive(to: "before\n\r\n")
            try await scene.make()
            await scene.endMove()
            let (new, _) = try await call(scene.second, "/logs")
            try await new.send(Self.chunked)
            try await new.send(Self.chunk("after\n"))
            #expect(try await client.receive(to: "after\n\r\n") == String(buffer: Self.chunk("after\n")))
            await client.close()
        }
    }

    @Test("Statistics go on in whole documents")
    func stats() async throws {
        try await with { scene in
            let client = try await scene.asks("GET", "stats")
            let (old, _) = try await call(scene.first, "/stats")
            try await old.send(Self.chunked)
            try await old.send(ChunkedEncoding.chunk(ByteBuffer(string: "{\"name\":\"/web.edge1\"}\n{\"nam")))
            _ = try await client.receive(to: "\"}\n\r\n")
            await scene.beginMove()
            await scene.lost.stop()
            try await scene.make()
            await scene.endMove()
            let (new, _) = try await call(scene.second, "/stats")
            try await new.send(Self.chunked)
            try await new.send(ChunkedEncoding.chunk(ByteBuffer(string: "{\"name\":\"/web.edge1\"}\n")))
            #expect(Rig.documents(try await client.receive(to: "\"}\n\r\n")) == [["name": "/web"]])
            await client.close()
        }
    }

    @Test("Statistics of a container that is removed end, also where its engine goes on with them or has not begun")
    func statsOfGone() async throws {
        try await with { scene in
            let begun = try await scene.asks("GET", "stats")
            let (old, _) = try await call(scene.first, "/stats")
            try await old.send(Self.chunked)
            try await old.send(ChunkedEncoding.chunk(ByteBuffer(string: "{\"name\":\"/web.edge1\"}\n")))
            _ = try await begun.receive(to: "\"}\n\r\n")
            let waiting = try await scene.asks("GET", "stats")
            _ = try await call(scene.first, "/stats")
            await scene.remove()
            #expect(try await begun.receive(to: "\r\n\r\n") == "0\r\n\r\n")
            let answer = String(buffer: try await waiting.receiveToEnd())
            #expect(answer.hasPrefix("HTTP/1.1 404 "))
            #expect(answer.contains("No such container: \(Rig.cloud)"))
            #expect(try await old.receiveToEnd().readableBytes == 0)
        }
    }

    @Test("A terminal has the size of before when its container starts elsewhere")
    func window() async throws {
        try await with { scene in
            let client = try await scene.asks("POST", "resize?h=40&w=120")
            let (old, _) = try await call(scene.first, "/resize")
            try await old.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            _ = try await client.receiveHead()
            try await scene.make()
            async let starting: Void = scene.rig.startCloud()
            let (start, _) = try await call(scene.second, "/start")
            try await start.send("HTTP/1.1 204 No Content\r\n\r\n")
            let (resize, head) = try await call(scene.second, "/resize")
            try await resize.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            try await starting
            #expect(head.hasPrefix("POST /containers/\(Rig.cloud)/resize?h=40&w=120 "))
        }
    }

    @Test("A stream of what waits for its node ends with the connection to it")
    func hold() async throws {
        try await with(.hold) { scene in
            let client = try await scene.asks("POST", "attach?stream=1&stdout=1")
            let (old, _) = try await call(scene.first, "/attach")
            try await old.send(Self.upgraded)
            _ = try await client.receiveHead()
            await scene.lost.stop()
            #expect(try await client.receiveToEnd().readableBytes == 0)
        }
    }

    @Test("A stream ends with a container that has ended, and with one that was removed while it was moved")
    func ends() async throws {
        try await with { scene in
            let client = try await scene.asks("GET", "logs?follow=1&stdout=1")
            let (old, _) = try await call(scene.first, "/logs")
            try await old.send(Self.chunked)
            try await old.send(ChunkedEncoding.end)
            try await tellEnd(scene.first)
            #expect(try await client.receive(to: "0\r\n\r\n") == Self.chunked + "0\r\n\r\n")

            let other = try await scene.asks("POST", "attach?stream=1&stdout=1")
            let (attached, _) = try await call(scene.first, "/attach")
            try await attached.send(Self.upgraded)
            _ = try await other.receiveHead()
            await scene.beginMove()
            await scene.lost.stop()
            try await scene.rig.forgetCloud()
            _ = try await other.receiveToEnd()
        }
    }
}

@Suite("A container's output in whole frames")
struct WholeFramesTests {
    private static let output: ByteBuffer = {
        var bytes = RawStreamFrame.frame(.stdout, ByteBuffer(string: "one\n"))
        bytes.writeImmutableBuffer(RawStreamFrame.frame(.stderr, ByteBuffer()))
        bytes.writeImmutableBuffer(RawStreamFrame.frame(.stderr, ByteBuffer(string: "two and more\n")))
        return bytes
    }()

    @Test("However bytes are cut, frames come whole and unchanged", arguments: 1...40)
    func cuts(size: Int) {
        var frames = WholeFrames()
        var rest = Self.output
        var passed = ByteBuffer()
        while let piece = rest.readSlice(length: min(size, rest.readableBytes)), piece.readableBytes > 0 {
            passed.writeImmutableBuffer(frames.pass(piece))
            #expect([0, 12, 20, 41].contains(passed.readableBytes))
        }
        #expect(passed == Self.output)
        #expect(frames.finish().readableBytes == 0)
    }

    @Test("Of a long frame what has come is a frame of its own")
    func long() throws {
        var frames = WholeFrames()
        let text = String(repeating: "x", count: 200_000)
        var rest = RawStreamFrame.frame(.stdout, ByteBuffer(string: text))
        var passed = ByteBuffer()
        while let piece = rest.readSlice(length: min(30_000, rest.readableBytes)), piece.readableBytes > 0 {
            passed.writeImmutableBuffer(frames.pass(piece))
        }
        var found = ""
        while let frame = try RawStreamFrame.read(&passed) {
            #expect(frame.kind == .stdout)
            let text = passed.readString(length: frame.size)
            found += try #require(text)
        }
        #expect(found == text)
    }

    @Test("However long a stream is, no more than the frame that is not whole is kept of it")
    func bounded() {
        var frames = WholeFrames()
        var passed = 0
        var rest = ByteBuffer()
        for _ in 0..<2000 {
            rest.writeImmutableBuffer(RawStreamFrame.frame(.stdout, ByteBuffer(repeating: 1, count: 4099)))
            while let piece = rest.readSlice(length: 4001) { passed += frames.pass(piece).readableBytes }
            rest.discardReadBytes()
        }
        #expect(passed > 8_000_000)
        #expect(frames.held.storageCapacity <= 64 << 10)
    }

    @Test("Bytes that are no frames pass as they are")
    func plain() {
        var frames = WholeFrames()
        #expect(frames.pass(ByteBuffer(string: "plainly not framed")) == ByteBuffer(string: "plainly not framed"))
        #expect(frames.pass(ByteBuffer(string: "x")) == ByteBuffer(string: "x"))
    }
}

extension Rig {
    @NodeLoop
    fileprivate func lose(as kind: LossPolicy.Kind) throws {
        guard var route = routes[Self.cloud] else { return }
        route.loss.kind = kind
        try routes.put(route)
    }

    @NodeLoop
    fileprivate func isFollowed() -> Bool {
        door.attached[Self.cloud]?.all.allSatisfy(\.isCurrent) ?? true
    }

    @NodeLoop
    fileprivate func startCloud() async throws {
        guard let route = routes[Self.cloud] else { return }
        try await door.startThere(route)
    }

    @NodeLoop
    fileprivate func forgetCloud() throws {
        try routes.remove(Self.cloud)
    }
}
