import DockerAPI
import LighterTesting
import NIOCore
import Testing

@testable import FrontDoor

/// Engines and clients that end at the wrong moment.
@Suite("Ends in the middle", .timeLimit(.minutes(1)))
struct FaultTests {
    @Test(
        "An engine that does not listen, closes without an answer, or talks nonsense is told of with 502 or 503",
        arguments: [
            (nil, "503"), ("", "503"), ("HTTP/1.1 200", "503"), ("SSH-2.0-OpenSSH\r\n\r\n", "502"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "502"),
        ] as [(String?, String)])
    func noAnswer(bytes: String?, status: String) async throws {
        try await Rig.with { rig in
            let client = try await rig.client()
            if let bytes {
                let engine = FakeEngine(path: rig.enginePath) { _ in bytes.isEmpty ? .drop : .rawThenClose(bytes) }
                try await engine.start()
                try await client.send("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n")
                #expect(try await client.receiveHead().hasPrefix("HTTP/1.1 \(status) "))
                await engine.stop()
            } else {
                try await client.send("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n")
                let answer = String(buffer: try await client.receiveToEnd())
                #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && answer.contains("engine.sock"), "\(answer)")
            }
        }
    }

    @Test(
        "An answer that breaks off reaches the client as broken off, never as whole",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense",
        ])
    func brokenOff(answer: String) async throws {
        try await Rig.with { rig in
            let engine = FakeEngine(path: rig.enginePath) { _ in .rawThenClose(answer) }
            try await engine.start()
            let client = try await rig.client()
            try await client.send("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n")
            let seen = String(buffer: try await client.receiveToEnd())
            #expect(answer.hasPrefix(seen), "nothing is added: \(seen)")
            #expect(!seen.contains("0\r\n\r\n"))
            await engine.stop()
        }
    }

    @Test(
        "An engine that closed a kept connection is dialled again for a question, and is not asked twice for a change")
    func staleConnection() async throws {
        try await Rig.with { rig in
            let engine = FakeEngine(path: rig.enginePath) { request in
                request.head.target.contains("last") ? .drop : .json([:])
            }
            try await engine.start()
            let client = try await rig.client()
            try await client.send("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n")
            _ = try await client.receive(to: "{}\n")
            try await client.send("POST /volumes/last HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
            #expect(try await client.receiveHead().hasPrefix("HTTP/1.1 503 "))
            #expect(engine.requests.filter { $0.head.target == "/volumes/last" }.count == 1)
            let other = try await rig.client()
            try await other.send("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n")
            _ = try await other.receive(to: "{}\n")
            try await other.send("GET /volumes/last HTTP/1.1\r\nHost: d\r\n\r\n")
            #expect(try await other.receiveHead().hasPrefix("HTTP/1.1 503 "))
            #expect(engine.requests.filter { $0.line == "GET /volumes/last" }.count == 2)
            await engine.stop()
        }
    }

    enum Phase: String, CaseIterable { case head, body, waiting, answer, upgrading, hijacked }

    @Test("A client that goes away in the middle leaves no connection to the engine behind", arguments: Phase.allCases)
    func clientGone(phase: Phase) async throws {
        try await Rig.with { rig in
            let engine = try await RawEngine(path: rig.enginePath)
            let client = try await rig.client()
            switch phase {
            case .head:
                try await client.send("GET /images/json HTT")
                await client.close()
                return #expect(try await rig.get("/_ping").head.hasPrefix("HTTP/1.1 200 "))
            case .body: try await client.send("POST /build HTTP/1.1\r\nHost: d\r\nContent-Length: 400\r\n\r\npart")
            case .waiting, .answer: try await client.send("GET /images/json HTTP/1.1\r\nHost: d\r\n\r\n")
            case .upgrading, .hijacked:
                try await client.send(
                    "POST /containers/x/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly")
            }
            let (backend, _) = try await engine.call()
            switch phase {
            case .answer:
                try await backend.send("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\npart")
                _ = try await client.receive(to: "part")
            case .hijacked:
                try await backend.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
                #expect(String(buffer: try await backend.receive(count: 5)) == "early")
                _ = try await client.receiveHead()
            default: break
            }
            await client.close()
            try await backend.closed()
        }
    }
}
