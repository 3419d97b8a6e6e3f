import DockerAPI
import Fleet
import LighterTesting
import Link
import NIOCore
import Session
import Synchronization
import Testing

@testable import FrontDoor

/// `POST /containers/create` with a control plane and nodes that the test plays.
@Suite("Creating containers", .timeLimit(.minutes(1)))
struct CreateTests {
    /// What an engine says of a pull that has succeeded.
    private static let pulled = FakeEngine.Answer.rawThenClose(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{\"status\":\"Pulling\"}\n\r\n0\r\n\r\n")

    private static let body = #"{"Image":"busybox","Cmd":["true"]}"#

    /// An engine that makes containers with ids of one digit repeated, and has the image.
    private static func script(
        _ digit: String, create: @escaping @Sendable (FakeEngine.Request) -> FakeEngine.Answer? = { _ in nil }
    ) -> FakeEngine.Script {
        { request in
            switch request.line {
            case "POST /containers/create":
                create(request) ?? .json(["Id": .string(digit.repeated(64)), "Warnings": []], status: 201)
            case "GET /images/busybox/json":
                .json(["Id": .string("sha256:" + "7".repeated(64)), "Size": 1000, "RepoDigests": []])
            case "GET /containers/json": .json([["Id": .string(digit.repeated(64))]])
            default: request.head.method == "DELETE" ? .raw("HTTP/1.1 204 No Content\r\n\r\n") : .json([:], status: 404)
            }
        }
    }

    /// A device and the nodes `cloud1` and `cloud2`, each with its own engine.
    private func with(
        _ kind: Policy.Kind = .remote, journal: String? = nil,
        cloud1: @escaping @Sendable (FakeEngine.Request) -> FakeEngine.Answer? = { _ in nil },
        _ body:
            @escaping @Sendable (Rig, (here: FakeEngine, cloud1: FakeEngine, cloud2: FakeEngine)) async throws -> Void
    ) async throws {
        try await Rig.with(journal: journal) { rig in
            let here = FakeEngine(path: rig.enginePath, script: Self.script("e"))
            let first = FakeEngine(path: rig.folder.file("1.sock"), script: Self.script("1", create: cloud1))
            let second = FakeEngine(path: rig.folder.file("2.sock"), script: Self.script("2"))
            for engine in [here, first, second] { try await engine.start() }
            let nodes = [
                try await rig.addNode("cloud1", enginePath: first.path),
                try await rig.addNode("cloud2", enginePath: second.path),
            ]
            rig.plane.govern(kind)
            Self.place(rig.plane)
            // The device expects cloud1; that there is a second node, only the gateway knows yet.
            rig.plane.snapshot.nodes.removeAll { $0.id.name == "cloud2" }
            try await body(rig, (here, first, second))
            for node in nodes { await node.stop() }
            for engine in [here, first, second] { await engine.stop() }
        }
    }

    /// Gives each workload to cloud1, and to the device where that has refused it.
    private static func placeHereAfterAll(_ plane: FakePlane) throws {
        let (here, cloud1) = (try NodeID("edge1"), try NodeID("cloud1"))
        plane.answerPlacements { request, refused throws(SessionError) in
            let warnings = refused[cloud1].map { ["runs on edge1: cloud1: \($0)"] } ?? []
            return Placed(
                decision: Decision(
                    workload: request.id, policy: .remote, target: refused.isEmpty ? cloud1 : here, reason: "test",
                    warnings: warnings),
                epoch: 1, ticket: Array("ticket".utf8))
        }
    }

    /// Gives each workload to the first node that it may have and that has not refused it, in a new epoch each time.
    private static func place(_ plane: FakePlane) {
        let epochs = Mutex<[WorkloadID: UInt64]>([:])
        plane.answerPlacements { request, refused throws(SessionError) in
            let epoch = epochs.withLock { epochs in
                epochs[request.id, default: 0] += 1
                return epochs[request.id] ?? 0
            }
            let target = ["cloud1", "cloud2"].compactMap { try? NodeID($0) }.first {
                refused[$0] == nil && request.policy.target ?? $0 == $0
            }
            return Placed(
                decision: Decision(
                    workload: request.id, policy: .remote, target: target,
                    reason: target == nil ? "\(request.policy.target?.name ?? "nobody") cannot" : "test"),
                epoch: target == nil ? 0 : epoch, ticket: Array("ticket".utf8))
        }
    }

    private func creates(_ engine: FakeEngine) -> Int {
        engine.requests.filter { $0.line == "POST /containers/create" }.count
    }

    @Test("A node whose heartbeat is late is waited for: a container neither fails nor stays because of that")
    func late() async throws {
        for body in [Self.body, #"{"Image":"busybox","Labels":{"lighter.target":"cloud1"}}"#] {
            try await with { rig, engines in
                func set(_ state: NodeState) {
                    var snapshot = rig.plane.snapshot
                    for index in snapshot.nodes.indices { snapshot.nodes[index].state = state }
                    rig.plane.snapshot = snapshot
                }
                set(.suspect)
                async let answer = rig.post("/containers/create?name=a", body)
                try await Task.sleep(for: .milliseconds(200))
                #expect(creates(engines.here) + creates(engines.cloud1) == 0)
                set(.ready)
                #expect(try await answer.body.contains("1111"))
            }
        }
    }

    @Test("Under `local` the engine here is asked, with the body as it came, and the gateway is not")
    func local() async throws {
        try await with(.local) { rig, engines in
            let answer = try await rig.post("/v1.41/containers/create?name=web", Self.body)
            #expect(answer.head.hasPrefix("HTTP/1.1 201 ") && answer.body.contains("eeee"))
            let request = try #require(engines.here.requests.first { $0.line == "POST /containers/create" })
            #expect(request.head.target == "/v1.41/containers/create?name=web")
            #expect(try JSON.parse(request.body)["Image"]?.stringValue == "busybox")
            #expect(rig.plane.placementsAsked.isEmpty)
        }
    }

    @Test("Away, the target gets the image by its digest and the name, and the device keeps the route")
    func away() async throws {
        try await with { rig, engines in
            let answer = try await rig.post("/v1.41/containers/create?name=web", Self.body)
            #expect(answer.head.hasPrefix("HTTP/1.1 201 ") && answer.body.contains("1111"))
            let request = try #require(engines.cloud1.requests.first { $0.line == "POST /containers/create" })
            let body = try JSON.parse(request.body)
            #expect(body["Image"]?.stringValue == "sha256:" + "7".repeated(64))
            #expect(body["Labels"]?["io.lighter.image"]?.stringValue == "busybox")
            #expect(request.head.target.contains("name=web"))
            #expect(await rig.routes.named("web")?.containerID == "1".repeated(64))
            #expect(creates(engines.here) == 0)
            let again = try await rig.post("/containers/create?name=web", Self.body)
            #expect(
                again.head.hasPrefix("HTTP/1.1 201 "), "its target has no such container any more: the name is free")
        }
    }

    @Test("What was answered early and the target then refuses ends as a failure, never as a success")
    func refusedAfterEarlyAnswer() async throws {
        try await with { rig, engines in
            _ = try await rig.post("/containers/create?name=web", Self.body)
            let id = "1".repeated(64)
            let attach = try await rig.client()
            try await attach.send(
                "POST /containers/\(id)/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
                    + "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            let stream = String(buffer: try await attach.receiveToEnd())
            #expect(stream.hasPrefix("HTTP/1.1 101 ") && stream.hasSuffix("\r\n\r\n"), "no byte of a stream: \(stream)")
            let wait = try await rig.post("/containers/\(id)/wait?condition=next-exit")
            #expect(wait.head.hasPrefix("HTTP/1.1 200 "))
            #expect(wait.body.contains(#""StatusCode":125"#) && wait.body.contains("404"), "\(wait.body)")
            #expect(engines.cloud1.requests.contains { $0.line == "POST /containers/\(id)/attach" })
        }
    }

    @Test(
        "A node without room is left for the next one, under the same workload and without giving the lease back before"
    )
    func capacity() async throws {
        try await with(cloud1: { _ in
            .raw("HTTP/1.1 503 No\r\nX-Lighter-Refused: capacity\r\nContent-Length: 18\r\n\r\n{\"message\":\"full\"}")
        }) { rig, engines in
            let answer = try await rig.post("/containers/create", Self.body)
            #expect(answer.head.hasPrefix("HTTP/1.1 201 ") && answer.body.contains("2222"), "\(answer)")
            #expect(Set(rig.plane.placementsAsked.map(\.id)).count == 1)
            #expect(rig.plane.abandoned.isEmpty, "a lease that was given back could not be placed again")
            #expect(creates(engines.here) == 0)
        }
    }

    /// A guard's answer to what its policy does not admit.
    private static func notAdmitted(_ request: FakeEngine.Request) -> FakeEngine.Answer? {
        let body = #"{"message":"lighter: node cloud1 does not admit HostConfig.CapAdd=NET_ADMIN: why"}"#
        return .raw("HTTP/1.1 403 No\r\nX-Lighter-Refused: policy\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    @Test("What one node's owner does not admit runs at the next that does, under the same workload")
    func admittedElsewhere() async throws {
        try await with(cloud1: Self.notAdmitted) { rig, engines in
            let answer = try await rig.post("/containers/create", Self.body)
            #expect(answer.head.hasPrefix("HTTP/1.1 201 ") && answer.body.contains("2222"), "\(answer)")
            #expect(Set(rig.plane.placementsAsked.map(\.id)).count == 1 && rig.plane.placementsAsked.count == 2)
            #expect(rig.plane.abandoned.isEmpty)
        }
    }

    @Test("What no other node's owner admits runs here, with the warning that the placement gives")
    func admittedHere() async throws {
        try await with(cloud1: Self.notAdmitted) { rig, engines in
            try Self.placeHereAfterAll(rig.plane)
            let answer = try await rig.post("/containers/create", Self.body)
            #expect(answer.head.hasPrefix("HTTP/1.1 201 ") && answer.body.contains("eeee"), "\(answer)")
            let said = "runs on edge1: cloud1: node cloud1 does not admit HostConfig.CapAdd=NET_ADMIN: why"
            #expect(try JSON.parse(Array(answer.body.utf8))["Warnings"] == [.string(said)])
        }
    }

    @Test("What is not admitted after a pull has gone to its node runs here, too")
    func admittedHereAfterPull() async throws {
        let isThere = Mutex(false)
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { request in
                request.line == "POST /containers/create" && isThere.withLock { $0 }
                    ? .json(["Id": .string("e".repeated(64)), "Warnings": []], status: 201)
                    : .json(["message": "No such image"], status: 404)
            }
            let there = FakeEngine(path: rig.folder.file("1.sock")) { request in
                switch request.line {
                case "POST /images/create":
                    isThere.withLock { $0 = true }
                    return Self.pulled
                case "POST /containers/create":
                    return isThere.withLock { $0 }
                        ? Self.notAdmitted(request) ?? .drop
                        : .json(["message": "No such image: busybox:latest"], status: 404)
                default: return .json([], status: 200)
                }
            }
            try await here.start()
            try await there.start()
            let node = try await rig.addNode(enginePath: there.path)
            rig.plane.govern(.remote)
            try Self.placeHereAfterAll(rig.plane)
            let first = try await rig.post("/containers/create", Self.body)
            #expect(first.head.hasPrefix("HTTP/1.1 404 "), "\(first)")
            _ = try await rig.post("/images/create?fromImage=busybox&tag=latest")
            let second = try await rig.post("/containers/create", Self.body)
            #expect(second.head.hasPrefix("HTTP/1.1 201 ") && second.body.contains("eeee"), "\(second)")
            #expect(rig.plane.abandoned.count == 1)
            await node.stop()
            await here.stop()
            await there.stop()
        }
    }

    @Test("What the node that its user names does not admit is refused with that node's reason")
    func refusedByName() async throws {
        try await with(cloud1: Self.notAdmitted) { rig, engines in
            let answer = try await rig.post(
                "/containers/create", #"{"Image":"busybox","Labels":{"lighter.target":"cloud1"}}"#)
            #expect(answer.head.hasPrefix("HTTP/1.1 403 "), "\(answer)")
            #expect(answer.body.contains("lighter: node cloud1 does not admit HostConfig.CapAdd"), "\(answer)")
            #expect(rig.plane.abandoned.map(\.epoch) == [1])
            #expect(creates(engines.here) + creates(engines.cloud2) == 0)
        }
    }

    @Test("A refusal of the target's engine is the client's answer, in its own words, and gives the lease back")
    func refusal() async throws {
        try await with(cloud1: { _ in .json(["message": "invalid CPU quota of \"/web.edge1\""], status: 400) }) {
            rig, engines in
            let answer = try await rig.post("/containers/create?name=web", Self.body)
            #expect(answer.head.hasPrefix("HTTP/1.1 400 ") && answer.body.contains(#"of \"/web\""#), "\(answer)")
            #expect(rig.plane.abandoned.map(\.epoch) == [1])
            #expect(creates(engines.here) == 0 && creates(engines.cloud2) == 0)
        }
    }

    @Test("A create whose answer was lost goes to the next node, and what it may have made is removed by its labels")
    func lostAnswer() async throws {
        try await with(cloud1: { _ in .drop }) { rig, engines in
            let answer = try await rig.post("/containers/create", Self.body)
            #expect(answer.body.contains("2222"), "\(answer)")
            while !engines.cloud1.requests.contains(where: { $0.head.method == "DELETE" }) { await Task.yield() }
            let list = try #require(engines.cloud1.requests.first { $0.line == "GET /containers/json" })
            #expect(list.head.target.contains("io.lighter.workload"))
        }
    }

    @Test("A node whose link turns out to have ended is dialled once more before another is asked")
    func endedLink() async throws {
        let cut = Mutex<(@Sendable () -> Void)?>(nil)
        let dropOnce: @Sendable (FakeEngine.Request) -> FakeEngine.Answer? = { _ in
            guard let hangUp = cut.withLock({ $0.take() }) else { return nil }
            hangUp()
            return .drop
        }
        try await with(cloud1: dropOnce) { rig, engines in
            let cloud1 = try NodeID("cloud1")
            let spare = try await FakeNode(path: rig.folder.file("spare.link"), enginePath: engines.cloud1.path)
            let old = try #require(rig.plane.existingLink(to: cloud1))
            cut.withLock {
                $0 = {
                    old.close(nil)
                    rig.plane.put(spare.link, to: cloud1)
                }
            }
            let answer = try await rig.post("/containers/create", Self.body)
            #expect(answer.body.contains("1111"), "\(answer)")
            #expect(creates(engines.cloud1) == 2 && creates(engines.cloud2) == 0)
            #expect(
                engines.cloud1.requests.contains { $0.head.method == "DELETE" }, "what the first made is removed")
            await spare.stop()
        }
    }

    @Test("With the fleet out of reach the container runs here, and its user is told")
    func unreachable() async throws {
        try await with { rig, engines in
            rig.plane.answerPlacements { _, _ throws(SessionError) in throw SessionError(.timedOut, "no answer in 2 s")
            }
            let answer = try await rig.post("/containers/create", Self.body)
            let warnings = try JSON.parse(Array(answer.body.utf8))["Warnings"]?.arrayValue
            #expect(
                answer.body.contains("eeee") && warnings?.first?.stringValue?.contains("this device") == true,
                "\(answer)")
        }
    }

    @Test("The gateway is told who set the policy, and who named the target")
    func sources() async throws {
        try await with(.completion) { rig, _ in
            _ = try await rig.post(
                "/containers/create",
                #"{"Image":"busybox","Labels":{"lighter.policy":"remote","lighter.target":"cloud1"}}"#)
            let asked = try #require(rig.plane.placementsAsked.first)
            #expect(asked.policySource == "the container's labels" && asked.targetReason.isEmpty)
            #expect(MoveCause.drain.reason(from: try NodeID("cloud1")) == "a drain of cloud1 moved it there")
        }
    }

    @Test(
        "Labels that say nothing, or contradict one another, are refused",
        arguments: [
            (#"{"lighter.polcy":"remote"}"#, "there is no label lighter.polcy"),
            (#"{"lighter.exclusive":"maybe"}"#, "lighter.exclusive=maybe: use true, false, yes or no"),
            (#"{"lighter.policy":"local","lighter.target":"cloud1"}"#, "leave one of them out"),
        ])
    func labels(labels: String, reason: String) async throws {
        try await with { rig, engines in
            let answer = try await rig.post("/containers/create", #"{"Image":"busybox","Labels":\#(labels)}"#)
            #expect(answer.head.hasPrefix("HTTP/1.1 400 ") && answer.body.contains(reason), "\(answer)")
            #expect(creates(engines.here) + creates(engines.cloud1) == 0)
        }
    }

    @Test("The device says which engine it has")
    func node() async throws {
        try await with { rig, _ in
            let state = try await rig.get("/lighter/node").body
            #expect(try JSON.parse(Array(state.utf8))[0]?["Engine"]?.stringValue == "unix://\(rig.enginePath)")
        }
    }

    @Test("A target that nobody knows is an error that names it, not a container elsewhere")
    func unknownTarget() async throws {
        try await with { rig, engines in
            let answer = try await rig.post(
                "/containers/create", #"{"Image":"busybox","Labels":{"lighter.target":"nowhere"}}"#)
            #expect(answer.head.hasPrefix("HTTP/1.1 409 ") && answer.body.contains("nowhere"), "\(answer)")
            #expect(creates(engines.here) + creates(engines.cloud1) + creates(engines.cloud2) == 0)
        }
    }

    @Test("What a device would refuse the gateway is asked about: it may know better", arguments: [true, false])
    func outdated(names: Bool) async throws {
        try await with { rig, engines in
            rig.plane.snapshot.nodes[0].drainedSince = 5
            let label = names ? #","Labels":{"lighter.target":"cloud1"}"# : ""
            let answer = try await rig.post("/containers/create", #"{"Image":"busybox"\#(label)}"#)
            #expect(answer.head.hasPrefix("HTTP/1.1 201 "), "\(answer)")
            #expect(creates(engines.here) == 0 && creates(engines.cloud1) == 1)
        }
    }

    @Test("Where the gateway would give a device what it cannot take, and where it cannot be asked, it is refused")
    func stillRefused() async throws {
        try await with { rig, engines in
            let device = rig.plane.node
            for isAway in [false, true] {
                if isAway {
                    rig.plane.answerPlacements { _, _ throws(SessionError) in throw SessionError(.unavailable, "away") }
                } else {
                    rig.plane.answerPlacements { request, _ throws(SessionError) in
                        let stays = Decision(workload: request.id, policy: .remote, target: device, reason: "test")
                        return Placed(decision: stays, epoch: 3)
                    }
                }
                let answer = try await rig.post(
                    "/containers/create", #"{"Image":"busybox","Labels":{"lighter.target":"nowhere"}}"#)
                #expect(answer.head.hasPrefix("HTTP/1.1 409 ") && answer.body.contains("nowhere"), "\(answer)")
            }
            #expect(rig.plane.abandoned.map(\.epoch) == [3])
            #expect(creates(engines.here) + creates(engines.cloud1) + creates(engines.cloud2) == 0)
        }
    }

    @Test("A name that a container here or away has is refused as Docker refuses it", arguments: [true, false])
    func conflict(isAway: Bool) async throws {
        try await Rig.with { rig in
            let inspected: FakeEngine.Script = { _ in .json(["Id": .string(Rig.cloud), "Name": "/web"]) }
            let none: FakeEngine.Script = { _ in .json(["message": "No such container"], status: 404) }
            let here = FakeEngine(path: rig.enginePath, script: isAway ? none : inspected)
            let there = FakeEngine(path: rig.folder.file("1.sock"), script: inspected)
            try await here.start()
            try await there.start()
            let node = try await rig.addNode(enginePath: there.path, route: isAway ? "web" : nil)
            let answer = try await rig.post("/containers/create?name=web", Self.body)
            #expect(
                answer.head.hasPrefix("HTTP/1.1 409 ") && answer.body.contains(#"name \"/web\" is already in use"#),
                "\(answer)")
            await node.stop()
            await here.stop()
            await there.stop()
        }
    }

    @Test("Of many creates with one name at once, one succeeds")
    func race() async throws {
        try await with { rig, engines in
            let made = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        try await rig.post("/containers/create?name=web", Self.body).head.hasPrefix("HTTP/1.1 201 ")
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(made >= 1)
            #expect(made == creates(engines.cloud1))
        }
    }

    @Test("A missing image is a 404, a pull that goes to the target, and a second create under the same lease")
    func missingImage() async throws {
        let isThere = Mutex(false)
        try await Rig.with { rig in
            let here = FakeEngine(path: rig.enginePath) { _ in .json(["message": "No such image"], status: 404) }
            let there = FakeEngine(path: rig.folder.file("1.sock")) { request in
                switch request.line {
                case "POST /images/create":
                    isThere.withLock { $0 = true }
                    return Self.pulled
                case "POST /containers/create":
                    return isThere.withLock { $0 }
                        ? .json(["Id": .string("1".repeated(64)), "Warnings": []], status: 201)
                        : .json(["message": "No such image: busybox:latest"], status: 404)
                default: return .json([], status: 200)
                }
            }
            try await here.start()
            try await there.start()
            let node = try await rig.addNode(enginePath: there.path)
            rig.plane.govern(.remote)
            Self.place(rig.plane)
            let first = try await rig.post("/containers/create", Self.body)
            #expect(first.head.hasPrefix("HTTP/1.1 404 ") && first.body.contains("No such image"), "\(first)")
            let other = try await rig.post(
                "/containers/create", #"{"Image":"busybox","Labels":{"lighter.policy":"local"}}"#)
            #expect(other.head.hasPrefix("HTTP/1.1 404 "), "another create does not get this one's lease")
            let pull = try await rig.post("/images/create?fromImage=busybox&tag=latest")
            #expect(pull.body.contains("Pulling"), "\(pull) \(there.requests.map(\.head.target)) \(node.openings)")
            let second = try await rig.post("/containers/create", Self.body)
            #expect(second.head.hasPrefix("HTTP/1.1 201 "), "\(second)")
            #expect(rig.plane.placementsAsked.count == 1, "the lease was kept")
            let later = try await rig.post("/images/create?fromImage=busybox&tag=latest")
            #expect(later.head.hasPrefix("HTTP/1.1 404 "), "a later pull is this device's own")
            await node.stop()
            await here.stop()
            await there.stop()
        }
    }

    @Test("A journal that takes no more is a clear error, and no container stays at the target")
    func fullDisk() async throws {
        // A device that is always full: what is written to it fails with ENOSPC.
        try await with { rig, engines in
            try await rig.spoilJournal()
            let answer = try await rig.post("/containers/create?name=web", Self.body)
            #expect(answer.head.hasPrefix("HTTP/1.1 500 ") && answer.body.contains("cannot be recorded"), "\(answer)")
            while !engines.cloud1.requests.contains(where: { $0.head.method == "DELETE" }) { await Task.yield() }
            #expect(rig.plane.abandoned.count == 1)
            #expect(creates(engines.cloud2) == 0)
            #expect(await rig.routes.named("web") == nil)
        }
    }
}
