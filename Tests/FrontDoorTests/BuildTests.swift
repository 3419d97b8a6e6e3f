import DockerAPI
import Fleet
import LighterTesting
import NIOCore
import Session
import Synchronization
import Testing

@testable import FrontDoor
@testable import Images

@Suite("Builds by the classic builder", .timeLimit(.minutes(1)))
struct BuildTests {
    private static let dockerfile = "FROM busybox AS a\nRUN true\nFROM busybox:1\n"

    private static func context(_ files: [(String, String)] = [("Dockerfile", dockerfile), ("x", "y")]) -> [UInt8] {
        var tar = TarWriter()
        for (name, text) in files { tar.file(name, Array(text.utf8)) }
        tar.end()
        return tar.bytes
    }

    private func with(
        _ kind: Policy.Kind = .remote, _ body: @escaping @Sendable (Rig, HomecomingScene) async throws -> Void
    ) async throws {
        try await HomecomingScene.with { rig, scene in
            rig.plane.govern(kind)
            rig.plane.answerPlacements { request, _ throws(SessionError) in
                Placed(
                    decision: Decision(
                        workload: request.id, policy: .remote, target: try? NodeID("cloud1"), reason: "test"),
                    epoch: 1, ticket: Array("ticket".utf8))
            }
            try await body(rig, scene)
        }
    }

    /// Sends the context in chunks, as clients do.
    private func build(
        _ rig: Rig, _ query: String, _ context: [UInt8] = context(), headers: String = ""
    ) async throws -> (head: String, body: String) {
        let client = try await rig.client()
        try await client.send(
            "POST /v1.41/build?\(query) HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n\(headers)"
                + "Transfer-Encoding: chunked\r\n\r\n")
        for start in stride(from: 0, to: context.count, by: 1000) {
            let piece = context[start..<min(context.count, start + 1000)]
            try await client.send(ChunkedEncoding.chunk(ByteBuffer(bytes: piece)))
        }
        try await client.send(ChunkedEncoding.end)
        let head = try await client.receiveHead()
        let body =
            head.lowercased().contains("chunked")
            ? try await client.receive(to: "0\r\n\r\n")
            : String(buffer: try await client.receive(count: Self.length(head)))
        await client.close()
        return (head, body)
    }

    private static func length(_ head: String) -> Int {
        head.split(separator: "\r\n").first { $0.hasPrefix("Content-Length: ") }
            .flatMap { Int($0.dropFirst("Content-Length: ".count)) } ?? 0
    }

    @Test("A build goes to another node with its bases by their ids and without its names, and the image comes home")
    func away() async throws {
        try await with { rig, scene in
            let answer = try await build(
                rig,
                "t=mine:v1&t=other&pull=False&dockerfile=Dockerfile&buildargs=%7B%22A%22%3A%22b%22%7D&rm=1&ulimits=null&memory=0"
            )
            #expect(answer.head.hasPrefix("HTTP/1.1 200 "))
            #expect(answer.body.contains(#"{"stream":"Step 1\n"}"#), "\(answer)")
            #expect(answer.body.contains("Successfully tagged mine:v1") && answer.body.contains("tagged other:latest"))
            #expect(!answer.body.contains("error"), "\(answer)")
            #expect(answer.body.contains("Step 0 : FROM busybox AS a"), "bases are shown by their names")
            let image = HomecomingScene.image
            scene.state.withLock { state in
                #expect(state.here == ["\(image.id)"])
                #expect(state.tags == ["repo=mine&tag=v1", "repo=other&tag=latest"])
                #expect(state.builtHere.isEmpty)
                let files = state.builds.first?.files ?? [:]
                let query = state.builds.first?.query ?? Query()
                #expect(query.first("t") == nil && query.first("ulimits") == nil)
                #expect(query.first("buildargs") == #"{"A":"b"}"#)
                let pinned = files[query.first("dockerfile") ?? ""]
                #expect(pinned == "FROM \(HomecomingScene.base) AS a\nRUN true\nFROM \(HomecomingScene.base)\n")
                #expect(files["x"] == "y" && files["Dockerfile"] == Self.dockerfile)
            }
            // The lease goes back behind the answer.
            while rig.plane.abandoned.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
            #expect(rig.plane.abandoned.count == 1, "its lease is given back")
        }
    }

    @Test("Of a context that was built before, only what differs travels")
    func differences() async throws {
        try await with { rig, scene in
            var random = SeededGenerator(seed: 7)
            let noise = (0..<600_000).map { _ in "0123456789abcdef".randomElement(using: &random) ?? "0" }
            var text = String(noise)
            for _ in 0..<2 {
                let answer = try await build(rig, "t=a", Self.context([("Dockerfile", Self.dockerfile), ("x", text)]))
                #expect(answer.body.contains("Successfully tagged"), "\(answer)")
                #expect(scene.state.withLock { $0.builds.last?.files["x"] } == text)
                text.insert("!", at: text.index(text.startIndex, offsetBy: 300_000))
            }
            let sizes = scene.state.withLock { $0.contextBytes }
            #expect(sizes.count == 2 && sizes[1] * 2 < sizes[0], "\(sizes)")
        }
    }

    @Test("One that another node does not take is built here, with the context as it came", arguments: [true, false])
    func fallback(isRefused: Bool) async throws {
        try await with { rig, scene in
            scene.state.withLock { $0.buildAnswer = isRefused ? .refusal : .silence }
            let answer = try await build(rig, "t=mine")
            #expect(answer.body.contains("here"), "\(answer)")
            #expect(scene.state.withLock { $0.builtHere } == [ByteBuffer(bytes: Self.context())])
            #expect(rig.plane.abandoned.count == 1)
        }
    }

    @Test("An error of the build is the client's, and nothing comes home")
    func failed() async throws {
        try await with { rig, scene in
            scene.state.withLock { $0.buildAnswer = .error }
            let answer = try await build(rig, "t=mine")
            #expect(answer.body.contains(#"{"errorDetail":{"message":"no"},"error":"no"}"#), "\(answer)")
            #expect(scene.state.withLock { $0.asked.isEmpty && $0.builtHere.isEmpty && $0.tags.isEmpty })
        }
    }

    @Test("An image that cannot come home is an error at the end of the build's own words")
    func stranded() async throws {
        try await with { rig, scene in
            scene.state.withLock { $0.givesOut = false }
            let answer = try await build(rig, "t=mine")
            #expect(answer.body.contains("Step 1") && answer.body.contains("did not come to this device"), "\(answer)")
            #expect(scene.state.withLock { $0.tags.isEmpty })
        }
    }

    @Test(
        "What would be wrong elsewhere is built here",
        arguments: [
            "version=2&session=abc", "remote=https://example.org/a.git", "networkmode=host", "cgroupparent=x",
            "networkmode=container:web", "extrahosts=a:host-gateway", "securityopt=%5B%22a%22%5D", "pull=1", "squash=1",
            "ulimits=%5B%7B%7D%5D", "cachefrom=%5B%22a%22%5D", "platform=linux/arm64", "outputs=x", "new=1", "t=Upper",
            "labels=%7B%22lighter.policy%22%3A%22local%22%7D", "version=2",
        ])
    func ties(query: String) async throws {
        try await with { rig, scene in
            _ = try await build(rig, query)
            #expect(scene.state.withLock { $0.builds.isEmpty && $0.builtHere.count == 1 })
            #expect(rig.plane.placementsAsked.isEmpty)
        }
    }

    @Test(
        "What cannot be told from the context is built here, with the context as it came",
        arguments: [
            [("Dockerfile", "FROM unknown\n")], [("Other", "FROM busybox\n")], [("Dockerfile", "FROM $A\n")],
            [(".dockerignore", "**/x"), ("Dockerfile", "FROM busybox\n")],
        ])
    func doubt(files: [(String, String)]) async throws {
        try await with { rig, scene in
            let context = Self.context(files)
            let first = try await build(rig, "t=a", context)
            #expect(first.body.contains("here"), "\(first)")
            #expect(scene.state.withLock { $0.builtHere } == [ByteBuffer(bytes: context)])
            let garbage = [UInt8](repeating: 7, count: 300_000)
            let second = try await build(rig, "t=a", garbage)
            #expect(second.body.contains("here"), "\(second)")
            #expect(scene.state.withLock { $0.builtHere.last } == ByteBuffer(bytes: garbage))
        }
    }

    @Test("A label that names another node is heeded, and refused where that cannot be")
    func target() async throws {
        try await with(.local) { rig, scene in
            let labels = "labels=%7B%22lighter.target%22%3A%22cloud1%22%7D"
            let built = try await build(rig, "t=mine&\(labels)")
            #expect(built.body.contains("Step 1"), "\(built)")
            let refused = try await build(rig, "\(labels)&networkmode=host")
            #expect(refused.head.hasPrefix("HTTP/1.1 409 ") && refused.body.contains("network host"), "\(refused)")
            #expect(scene.state.withLock { $0.builtHere.isEmpty })
        }
    }

    @Test("The image is what the builder says it made, not what a command of the build wrote")
    func log() throws {
        let id = HomecomingScene.image.id
        var log = BuildLog(isQuiet: false)
        log.take(ByteBuffer(string: #"{"stream":"sha256:\#("c".repeated(64))\n"}"# + "\n"))
        #expect(log.image == nil)
        let line = #"{"aux":{"ID":"\#(id)"}}"# + "\r\n"
        log.take(ByteBuffer(string: String(line.prefix(20))))
        log.take(ByteBuffer(string: String(line.dropFirst(20))))
        #expect(log.image == id && !log.hasFailed)
        #expect(log.tellsOfImage)
        log.take(ByteBuffer(string: #"{"stream":"Step 2\n"}"# + "\n"))
        #expect(!log.tellsOfImage)
        log.take(ByteBuffer(string: #"{"stream":"Successfully built x\n"}"# + "\n"))
        #expect(log.tellsOfImage)
        var quiet = BuildLog(isQuiet: true)
        quiet.take(ByteBuffer(string: #"{"stream":"\#(id)\n"}"# + "\n"))
        #expect(quiet.image == id)
    }
}
