import DockerAPI
import Engine
import Fleet
import LighterTesting
import NIOCore
import Synchronization
import Testing

@testable import FrontDoor

@Suite("An end that the gateway tells before the engine does", .timeLimit(.minutes(1)))
struct ForetoldEndTests {
    private static let finished = 1_767_225_660.5

    private static func container(_ status: String) -> JSON {
        let runs = status == "running"
        return [
            "Id": .string(Rig.cloud), "Name": "/web.edge1",
            "State": [
                "Status": .string(status), "Running": .bool(runs), "Pid": runs ? 77 : 0, "ExitCode": runs ? 0 : 3,
                "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:01:00.5Z",
            ],
            "HostConfig": ["RestartPolicy": ["Name": "no"]],
            "NetworkSettings": ["Networks": ["bridge": ["IPAddress": .string(runs ? "172.17.0.2" : "")]]],
        ]
    }

    /// A container that runs at a node whose engine says what `status` is, and nothing of an end that it has not told.
    /// - Parameter patience: for how long its engine may be silent; a busy machine takes its time.
    private static func with(
        patience: Duration = .seconds(60),
        _ body: @escaping @Sendable (Rig, FakeEngine, _ end: WorkloadEnd) async throws -> Void
    ) async throws {
        try await Rig.with { rig in
            let status = Mutex("running")
            let here = FakeEngine(path: rig.enginePath) { request in
                request.line == "GET /containers/json" ? .json([]) : .json(["message": "no"], status: 404)
            }
            let away = FakeEngine(path: rig.folder.file("1.sock")) { request in
                let now = status.withLock(\.self)
                switch request.line {
                case "GET /events": return .stream
                case "GET /containers/json":
                    return .json([
                        [
                            "Id": .string(Rig.cloud), "Names": ["/web.edge1"], "State": .string(now), "Status": "old",
                            "Created": 1,
                        ]
                    ])
                case "GET /containers/\(Rig.cloud)/json": return .json(container(now))
                case "DELETE /containers/\(Rig.cloud)": return .json(["message": "it runs"], status: 409)
                default: return .json(["message": "no"], status: 404)
                }
            }
            try await here.start()
            try await away.start()
            let node = try await rig.addNode(enginePath: away.path, route: "web")
            try await rig.follow("cloud1")
            while await !rig.knows(Rig.cloud) { try await Task.sleep(for: .milliseconds(2)) }
            let workload = try #require(await rig.routes[Rig.cloud]).workload
            let end = WorkloadEnd(workload: workload, epoch: 1, exitCode: 3, finishedAt: finished)
            await rig.foretell(within: patience)
            try await body(rig, away, end)
            await node.stop()
            await here.stop()
            await away.stop()
        }
    }

    private static func state(_ rig: Rig) async throws -> JSON? {
        try JSON.parse(Array(try await rig.get("/containers/web/json").body.utf8))["State"]
    }

    @Test("It is shown at once, with its code, and nobody is asked")
    func shown() async throws {
        try await Self.with { rig, away, end in
            #expect(try await Self.state(rig)?["Status"] == "running")
            let asked = away.requests.count
            await rig.door.hasEnded(end)
            let state = try await Self.state(rig)
            #expect(state?["Status"] == "exited" && state?["Running"] == false && state?["Pid"] == 0)
            #expect(state?["ExitCode"] == 3)
            #expect(state?["FinishedAt"] == "2026-01-01T00:01:00.500000000Z")
            let listed = try JSON.parse(Array(try await rig.get("/containers/json?all=1").body.utf8))[0]
            #expect(listed?["State"] == "exited")
            #expect(listed?["Status"]?.stringValue?.hasPrefix("Exited (3) ") == true)
            #expect(try await rig.get("/containers/json").body.contains(Rig.cloud) == false)
            #expect(away.requests.count == asked)
        }
    }

    @Test("What is done to it waits until its engine knows, and what that says counts")
    func waits() async throws {
        try await Self.with { rig, away, end in
            await rig.door.hasEnded(end)
            async let removed = rig.ask("DELETE /containers/web HTTP/1.1\r\nHost: d\r\n\r\n")
            try await Task.sleep(for: .milliseconds(200))
            #expect(!away.requests.contains { $0.head.method == "DELETE" })
            try await away.emit(Self.event("die"))
            #expect(try await removed.head.contains(" 409 "))
            #expect(away.requests.contains { $0.head.method == "DELETE" })
            #expect(try await Self.state(rig)?["Status"] == "running", "as its engine shows it")
        }
    }

    @Test("One that its engine does not tell is asked for after a while")
    func neverTold() async throws {
        try await Self.with(patience: .milliseconds(500)) { rig, _, end in
            await rig.door.hasEnded(end)
            while try await Self.state(rig)?["Status"] != "running" { try await Task.sleep(for: .milliseconds(50)) }
        }
    }

    @Test("What is shown and was never told to be over is found when it is compared with what its engine lists")
    func compared() async throws {
        try await Self.with { rig, _, _ in
            try await rig.pretend("exited")
            #expect(try await Self.state(rig)?["Status"] == "exited")
            try await rig.compare("cloud1")
            #expect(try await Self.state(rig)?["Status"] == "running", "as its engine has it")
            let isSame = try await rig.compare("cloud1")
            #expect(isSame)
        }
    }

    @Test("That of an earlier place, or of a container with ports here, is its engine's to tell")
    func passedOver() async throws {
        try await Self.with { rig, _, end in
            var other = end
            other.epoch = 2
            await rig.door.hasEnded(other)
            #expect(try await Self.state(rig)?["Status"] == "running")
            try await rig.publish(
                PublishedPort(containerPort: 80, isUDP: false))
            await rig.door.hasEnded(end)
            #expect(try await Self.state(rig)?["Status"] == "running")
        }
    }

    private static func event(_ action: String) -> JSON {
        [
            "Type": "container", "Action": .string(action), "timeNano": 2_000_000_000_000_000_000,
            "Actor": ["ID": .string(Rig.cloud), "Attributes": ["exitCode": "3"]],
        ]
    }

    @Test(
        "A restart, a health check and a kill are the engine's to tell; so is what does not run",
        arguments: [
            ("running", "always", "null", 3), ("running", "no", #"{"Status":"healthy"}"#, 3),
            ("running", "no", "null", 137), ("paused", "no", "null", 3), ("exited", "", "null", 3),
        ] as [(String, String, String, Int32)])
    func others(status: String, policy: String, health: String, code: Int32) {
        let text =
            #"{"State":{"Status":"\#(status)","Health":\#(health)},"HostConfig":{"RestartPolicy":{"Name":"\#(policy)"}}}"#
        let end = WorkloadEnd(workload: .random(), epoch: 1, exitCode: code, finishedAt: Self.finished)
        #expect(EndedContainer(Array(text.utf8), end) == nil)
    }

    @Test("The end of an earlier run says nothing of one that has been started since")
    func startedSince() {
        let text = #"{"State":{"Status":"running","StartedAt":"2026-01-01T00:01:01Z"}}"#
        for (finished, isTold) in [(Self.finished, false), (Self.finished + 1, true)] {
            let end = WorkloadEnd(workload: .random(), epoch: 1, exitCode: 3, finishedAt: finished)
            #expect((EndedContainer(Array(text.utf8), end) != nil) == isTold)
        }
    }

    @Test("It has no addresses and no ports any more")
    func addresses() throws {
        let text =
            #"{"State":{"Status":"running"},"NetworkSettings":{"IPAddress":"172.17.0.2","Ports":{"80/tcp":null},"Networks":{"a":{"IPAddress":"172.17.0.2","IPPrefixLen":16,"Aliases":["x"]}}}}"#
        let end = WorkloadEnd(workload: .random(), epoch: 1, exitCode: 0, finishedAt: Self.finished)
        let ended = try #require(EndedContainer(Array(text.utf8), end))
        let settings = ended.inspected["NetworkSettings"]
        #expect(settings?["IPAddress"] == "" && settings?["Ports"] == [:])
        #expect(settings?["Networks"]?["a"] == ["IPAddress": "", "IPPrefixLen": 0, "Aliases": ["x"]])
        let listed = try JSON.parse(ended.list(Array(#"{"State":"running","Ports":[{"PrivatePort":80}]}"#.utf8)))
        #expect(listed["State"] == "exited" && listed["Ports"] == [])
    }

    @Test(
        "Moments are written as engines write them",
        arguments: [
            (0, "1970-01-01T00:00:00.000000000Z"), (1_767_225_660.5, "2026-01-01T00:01:00.500000000Z"),

        ] as [(Double, String)])
    func moments(seconds: Double, text: String) {
        let shown = Timestamp.text(seconds)
        #expect(shown.prefix(26) == text.prefix(26))
        #expect(Timestamp.seconds(shown).map { abs($0 - seconds) < 1e-6 } == true)
    }
}

extension Rig {
    /// Has the door follow a node as it does once a first container runs there.
    @NodeLoop
    func follow(_ node: String) throws {
        let node = try NodeID(node)
        for watcher in door.targetWatchers.values { watcher(node) }
    }

    /// Shows the container otherwise than its engine has it.
    @NodeLoop
    func pretend(_ status: String) throws {
        let view = door.view(of: try NodeID("cloud1"))
        let listed = Array(#"{"Id":"\#(Self.cloud)","State":"\#(status)","Names":["/web.edge1"]}"#.utf8)
        let inspected = Array(#"{"Id":"\#(Self.cloud)","State":{"Status":"\#(status)"}}"#.utf8)
        view.put(
            Self.cloud, listed: listed, inspected: inspected, clockLead: 0,
            as: view.moment(of: [Self.cloud])[Self.cloud] ?? -1)
    }

    /// Whether nothing was other than it is shown.
    @NodeLoop @discardableResult
    func compare(_ node: String) async throws -> Bool {
        let view = door.view(of: try NodeID(node))
        let before = view.moment(of: [Self.cloud])
        await door.compare(try NodeID(node))
        return view.moment(of: [Self.cloud]) == before
    }

    @NodeLoop
    func foretell(within patience: Duration) { door.foretelling = patience }

    @NodeLoop
    func knows(_ id: String) -> Bool { routes[id].map { door.view(of: $0.target).isKnown(id) } ?? false }
}
