import DockerAPI
import Engine
import Fleet
import LighterTesting
import NIOCore
import Testing
import Trust

@testable import Agent
@testable import Images

@Suite("Builds of other nodes by BuildKit")
@NodeLoop
struct GuardKitBuildsTests {
    private static var building: GuardPolicy {
        var policy = GuardPolicy()
        policy.acceptsBuilds = true
        return policy
    }

    private nonisolated static let base = "sha256:" + String(repeating: "b", count: 64)
    private static let upgrade = "Connection: Upgrade\r\nUpgrade: h2c\r\n"
    private static let query = "version=2&session=s1&remote=client-session"

    @Test("join a session of their own name, and no other's")
    func session() async throws {
        try await withGuard(policy: Self.building) { rig, engine in
            engine.answer = { _ in .echo }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(
                "POST /v1.41/session HTTP/1.1\r\nHost: d\r\n\(Self.upgrade)X-Docker-Expose-Session-Uuid: s1\r\n"
                    + "X-Docker-Expose-Session-Sharedkey: key\r\nX-Docker-Expose-Session-Grpc-Method: /a/B\r\n"
                    + "X-Docker-Expose-Session-Grpc-Method: /a/C\r\nX-Registry-Config: secret\r\n\r\nearly")
            await client.wait(for: "early")
            #expect(client.text.hasPrefix("HTTP/1.1 101 "))
            let head = try #require(engine.calls.first?.head)
            #expect(head.target == "/v1.41/session" && head.upgrade == "h2c")
            #expect(head.headers.all("X-Docker-Expose-Session-Uuid") == ["\(rig.workload.hex)-s1"])
            #expect(head.headers.first("X-Docker-Expose-Session-Sharedkey") == "edge1-key")
            #expect(head.headers.all("X-Docker-Expose-Session-Grpc-Method") == ["/a/B", "/a/C"])
            #expect(head.headers.first("X-Registry-Config") == nil)
            await client.halfClose()
            await client.waitForEnd()
        }
    }

    @Test(
        "do without a session that is none",
        arguments: [
            "", "X-Docker-Expose-Session-Uuid: a\r\nX-Docker-Expose-Session-Uuid: b\r\n",
            "X-Docker-Expose-Session-Uuid: a/../b\r\n", "X-Docker-Expose-Session-Uuid: a\r\nContent-Length: 1\r\n",
        ])
    func sessionsRefused(headers: String) async throws {
        try await withGuard(policy: Self.building) { rig, engine in
            let client = try await rig.connect(ticket: rig.ticket())
            let body = headers.contains("Content-Length") ? "x" : ""
            client.send("POST /session HTTP/1.1\r\nHost: d\r\n\(Self.upgrade)\(headers)\r\n\(body)")
            #expect(try await client.response(method: "POST")?.status == 400)
            #expect(engine.calls.isEmpty)
        }
    }

    @Test("need a ticket, the owner's word, and a node that bounds nothing which BuildKit cannot bound")
    func closed() async throws {
        let headers = "\(Self.upgrade)X-Docker-Expose-Session-Uuid: a\r\n"
        var bounded = Self.building
        bounded.maximumMemory = .mebibytes(64)
        for policy in [GuardPolicy(), Self.building, bounded] {
            try await withGuard(policy: policy) { rig, engine in
                let isOpen = policy == Self.building
                let client = try await rig.connect(ticket: isOpen ? [] : rig.ticket())
                #expect(try await client.call("POST", "/session", headers)?.status == 403)
                #expect(try await client.call("POST", "/build?\(Self.query)")?.status == 403)
                #expect(engine.calls.isEmpty)
            }
        }
    }

    @Test("never reach the engine's own service of BuildKit")
    func control() async throws {
        try await withGuard(policy: Self.building) { rig, engine in
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/grpc", Self.upgrade)?.status == 403)
            #expect(try await client.call("POST", "/build/prune")?.status == 403)
            #expect(engine.calls.isEmpty)
        }
    }

    private static func admission() throws -> KitAdmission {
        KitAdmission(
            policy: GuardPolicy(), node: try NodeID("cloud1"), origin: try NodeID("edge1"),
            workload: try WorkloadID(
                String(repeating: "a", count: 32)))
    }

    @Test("are let do what a session and plain parameters say; folders that they cache are their own")
    func passed() throws {
        let query = try Self.admission().admit(
            Query(
                Self.query + "&dockerfile=a&target=x&rm=1&memory=0&networkmode=none&extrahosts=a:1&buildargs="
                    + PercentCoding.encode(#"{"A":"b","N":null,"BUILDKIT_CACHE_MOUNT_NS":"mine"}"#)
                    + "&outputs=" + PercentCoding.encode(#"[{"Type":"local","Attrs":{}}]"#)))
        #expect(query.first("session") == String(repeating: "a", count: 32) + "-s1")
        #expect(query.first("buildargs") == #"{"A":"b","BUILDKIT_CACHE_MOUNT_NS":"lighter-edge1"}"#)
        #expect(query.first("version") == "2" && query.first("remote") == "client-session")
        #expect(query.first("memory") == nil && query.first("networkmode") == "none" && query.first("target") == "x")
        #expect(query.first("outputs") == #"[{"Type":"local","Attrs":{}}]"#)
    }

    @Test(
        "are refused what reaches a host, another's things, or is not known",
        arguments: [
            "t=busybox", "networkmode=host", "networkmode=bridge", "cgroupparent=x", "extrahosts=a:host-gateway",
            "securityopt=x", "cachefrom=%5B%22a%22%5D", "squash=1", "platform=x", "pull=1", "new=1", "ulimits=%5B%5D",
            "shmsize=9999999999", "shmsize=-1", "session=b", "remote=https://example.org", "buildid=x",
            "outputs=%5B%7B%22Type%22:%22image%22%7D%5D", "outputs=%5B%7B%22Type%22:%22local%22%7D,%7B%7D%5D",
            "outputs=x", "outputs=%5B%7B%22Type%22:%22local%22,%22type%22:%22image%22%7D%5D", "buildargs=%5B%5D",
            "buildargs=%7B%22BUILDKIT_SYNTAX%22:%22evil/frontend%22%7D", "buildargs=%7B%22A%22:1%7D",
            "buildargs=%7B%22A%22:%22%22,%22A%22:%22%22%7D",
        ])
    func refused(more: String) throws {
        #expect(throws: DockerFailure.self) { try Self.admission().admit(Query("\(Self.query)&\(more)")) }
    }

    @Test(
        "are refused without a session of their own",
        arguments: [
            "version=2", "version=2&session=s", "version=2&remote=client-session", "session=&remote=client-session",
        ])
    func sessionless(query: String) throws {
        #expect(throws: DockerFailure.self) { try Self.admission().admit(Query(query)) }
    }

    @Test("find their bases by names that are gone at their end; what they make is the caller's")
    func exchange() async throws {
        try await withGuard(policy: Self.building) { rig, engine in
            let image = GuardLayersTests.text("a")
            engine.answer = { call in
                switch call.head.routePath {
                case "/build":
                    let lines =
                        #"{"id":"moby.image.id","aux":{"ID":"\#(image)"}}\#r\#n{"id":"moby.buildkit.trace","aux":""}\#r\#n"#
                    return .raw("HTTP/1.1 200 OK\r\nContent-Length: \(lines.utf8.count)\r\n\r\n\(lines)")
                case "/images/\(image)/history": return .json([])
                case "/images/json": return .json([["RepoTags": [.string("\(BuildBases.repository):old")]]])
                default: return .json([:], status: call.head.routePath.hasSuffix("/tag") ? 201 : 200)
                }
            }
            let client = try await rig.connect(ticket: rig.ticket())
            let answer = try await client.call(
                "POST", "/v1.41/build?\(Self.query)&dockerfile=a",
                "X-Lighter-Bases: \(Self.base)\r\nX-Registry-Config: x\r\n")
            #expect(answer?.status == 200 && answer?.body.contains("moby.image.id") == true)
            let hex = Self.base.dropFirst("sha256:".count)
            await engine.waitForPath("DELETE /images/\(BuildBases.repository):\(hex)")
            while engine.paths().filter({ $0 == "DELETE /images/lighter.invalid/nothing" }).count < 2 {
                await engine.waitForCalls(engine.calls.count + 1)
            }
            let paths = engine.paths()
            let tag = try #require(paths.firstIndex(of: "POST /images/\(Self.base)/tag"))
            let build = try #require(paths.firstIndex(of: "POST /build"))
            #expect(tag < build && paths.contains("DELETE /images/\(BuildBases.repository):old"))
            #expect(engine.calls[build].head.headers.first("X-Registry-Config") == nil)
            // The name is another image's before it is removed: the base would go with its last name.
            let moved = try #require(paths.lastIndex(of: "POST /images/lighter.invalid/nothing/tag"))
            #expect(moved > build)
            #expect(try await client.call("GET", "/images/\(image)/history")?.status == 200)
            #expect(try await client.call("DELETE", "/images/\(image)")?.status == 403)
        }
    }

    /// What a caller hears of a packed session in which an engine says the same again, and what both remember of it.
    private func echoed(
        _ rig: GuardRig, _ memory: ByteBuffer?, by origin: NodeID? = nil, isKnown: Bool
    ) async throws -> (memory: ByteBuffer, sent: Int) {
        let origin = origin ?? rig.origin
        let client = try await rig.connect(
            ticket: rig.ticket(origin: origin), peer: PeerIdentity(role: .node(origin), tenant: .main))
        client.send(
            "POST /session HTTP/1.1\r\nHost: d\r\n\(Self.upgrade)X-Docker-Expose-Session-Uuid: s1\r\n"
                + "X-Lighter-Packed: \(PackedStream.offer(memory))\r\n\r\n")
        await client.wait(for: "\r\n\r\n")
        #expect(client.text.contains("X-Lighter-Packed: \(isKnown ? "known" : "plain")\r\n"), "\(client.text)")
        let head = client.bytes.readableBytes
        let writer = try PackedWriter(memory: isKnown ? memory : nil)
        let reader = try PackedReader(memory: isKnown ? memory : nil)
        var frames = ByteBuffer()
        for number in 0..<1000 {
            let name = "file\(number * number * 7_919_317)"
            frames.writeBytes([0, 0, UInt8(name.utf8.count), 0, 0, 0, 0, 0, 0])
            frames.writeString(name)
        }
        try writer.add(frames, keeps: true)
        let packed = try writer.flush()
        try await client.send(packed)
        var heard = ByteBuffer()
        var count = head
        while heard.readableBytes < frames.readableBytes, !client.isEnded {
            await client.waitForBytes(count + 1)
            guard let more = client.bytes.getSlice(at: count, length: client.bytes.writerIndex - count) else { break }
            count += more.readableBytes
            reader.add(more)
            while let piece = try reader.next() { heard.writeImmutableBuffer(piece) }
        }
        #expect(heard == frames)
        try await client.send(try writer.end(heard: reader.kept.readableBytes))
        await client.halfClose()
        await client.waitForEnd()
        var left = writer.kept
        left.writeImmutableBuffer(reader.kept)
        return (left, packed.readableBytes)
    }

    @Test("pack their session with what the last one left, which no other node can use")
    func packed() async throws {
        let folder = try ScratchFolder()
        try await withGuard(policy: Self.building, configure: { $0.contexts = folder.file("contexts") }) {
            rig, engine in
            engine.answer = { _ in .echo }
            let first = try await echoed(rig, nil, isKnown: false)
            let shelf = ContextCache(folder: folder.file("contexts"), origin: rig.origin)
            let name = ContextFrame.digest(of: first.memory)
            while !shelf.has(name) { try await Task.sleep(for: .milliseconds(2)) }
            _ = try await echoed(rig, first.memory, by: try NodeID("edge2"), isKnown: false)
            let second = try await echoed(rig, first.memory, isKnown: true)
            #expect(first.sent > 5000 && second.sent < 100, "\(first.sent), \(second.sent)")
            // What both remember of the second is as much: it takes the first one's place, were it not the same.
            #expect(second.memory == first.memory && shelf.has(name))
            #expect(engine.calls.allSatisfy { $0.head.headers.first("X-Lighter-Packed") == nil })
        }
    }

    @Test("are cut off where what they say in a packed session is none")
    func damaged() async throws {
        try await withGuard(policy: Self.building) { rig, engine in
            engine.answer = { _ in .echo }
            let client = try await rig.connect(ticket: rig.ticket())
            client.send(
                "POST /session HTTP/1.1\r\nHost: d\r\n\(Self.upgrade)X-Docker-Expose-Session-Uuid: s1\r\n"
                    + "X-Lighter-Packed: nothing\r\n\r\n")
            await client.wait(for: "X-Lighter-Packed: plain\r\n\r\n")
            try await client.send(ByteBuffer(bytes: [0x80, 3, 1, 2, 3]))
            await client.waitForEnd()
            #expect(client.isEnded)
        }
    }

    @Test("have what the engine says of them packed where they ask for it, with what it said of the one before")
    func trace() async throws {
        let folder = try ScratchFolder()
        try await withGuard(policy: Self.building, configure: { $0.contexts = folder.file("contexts") }) {
            rig, engine in
            let line = #"{"id":"moby.buildkit.trace","aux":"CgF4"}"# + "\r\n"
            let lines = String(repeating: line, count: 100)
            engine.answer = { call in
                call.head.routePath == "/build"
                    ? .raw("HTTP/1.1 200 OK\r\nContent-Length: \(lines.utf8.count)\r\n\r\n\(lines)")
                    : .json([], status: 200)
            }
            let client = try await rig.connect(ticket: rig.ticket())
            var memory: ByteBuffer?
            for word in ["trace", "trace known"] {
                let answer = try await client.call(
                    "POST", "/build?\(Self.query)", "X-Lighter-Packed: \(PackedTrace.offer(memory))\r\n")
                #expect(answer?.head.headers.first("X-Lighter-Packed") == word)
                let unpacker = try TraceUnpacker(memory: memory)
                unpacker.add(answer?.data ?? ByteBuffer())
                var found = ""
                while let line = try unpacker.next() { found += String(buffer: line) }
                #expect(found == lines)
                #expect(answer?.data.readableBytes ?? 0 < lines.utf8.count / 10)
                memory = unpacker.kept
                let shelf = ContextCache(folder: folder.file("contexts"), origin: rig.origin)
                while !shelf.has(ContextFrame.digest(of: unpacker.kept)) { try await Task.sleep(for: .milliseconds(2)) }
            }
            let plain = try await client.call("POST", "/build?\(Self.query)")
            #expect(plain?.body == lines && plain?.head.headers.first("X-Lighter-Packed") == nil)
        }
    }

    @Test("leave an image that others brought what it is: its name for a build is not its owner's")
    func naming() async throws {
        try await withGuard(policy: Self.building) { rig, _ in
            let image = try #require(LayerDigest(Self.base))
            for (name, stays) in [("\(BuildBases.repository):x", true), ("mine:1", false)] {
                rig.desk.cache.put(image, name: nil, at: GuardRig.now)
                let about = #"{"ID":"\#(image)","Attributes":{"name":"\#(name)"}}"#
                let event = #"{"Type":"image","Action":"tag","Actor":\#(about)}"#
                rig.desk.note(try EngineEvent(ByteBuffer(string: event)))
                #expect((rig.desk.cache[image] != nil) == stays)
            }
        }
    }

    @Test(
        "do not begin without their bases",
        arguments: ["sha256:1", "busybox", Array(repeating: base, count: 65).joined(separator: ",")])
    func bases(header: String) async throws {
        try await withGuard(policy: Self.building) { rig, engine in
            let client = try await rig.connect(ticket: rig.ticket())
            let answer = try await client.call("POST", "/build?\(Self.query)", "X-Lighter-Bases: \(header)\r\n")
            #expect(answer?.status == 400 && engine.calls.isEmpty)
            engine.answer = { _ in .json(["message": "no such image"], status: 404) }
            let missing = try await client.call("POST", "/build?\(Self.query)", "X-Lighter-Bases: \(Self.base)\r\n")
            #expect(missing?.status == 404)
            #expect(!engine.paths().contains("POST /build"))
        }
    }
}
