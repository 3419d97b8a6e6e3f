import Fleet
import Link
import Session
import Synchronization
import Testing
import Wire

@testable import Gateway

@Suite("Work of a lost node")
struct ReplacingTests {
    /// A node that has beaten, been given a workload by `edge` and reports that it runs.
    private static func settled(
        _ scene: Scene, _ gateway: String, _ edge: GatewaySession, _ request: WorkloadRequest
    ) async throws -> (cloud: RawNode, workload: Workload) {
        let cloud = try await RawNode.connect(scene, "cloud", to: gateway)
        try await cloud.hello(capacity: Resources(cpus: 4, memory: .gibibytes(4)))
        cloud.beat()
        try await eventually("a heartbeat is acknowledged with a lease") { cloud.leases.contains { $0 > 0 } }
        try await eventually("the device knows the node") { edge.snapshot[try NodeID("cloud")]?.state == .ready }
        let placed = try await edge.place(request, refused: [:])
        #expect(placed.decision.target == (try NodeID("cloud")))
        let workload = Workload(
            id: request.id, tenant: .main, origin: edge.node, target: try NodeID("cloud"), state: .running,
            version: Version(epoch: placed.epoch, sequence: 1), containerID: "c1", image: "busybox")
        try await cloud.report(1, isFull: true, [workload])
        return (cloud, workload)
    }

    /// The node goes, and the device knows so, and that the other is there.
    private static func lose(_ cloud: RawNode, known edge: GatewaySession, _ spare: GatewaySession) async throws {
        cloud.control.link.close(nil)
        try await eventually("both are known as they are") {
            edge.snapshot[try NodeID("cloud")]?.state == .unreachable && edge.snapshot[spare.node]?.state == .ready
        }
    }

    private static func request(_ edge: GatewaySession) -> WorkloadRequest {
        WorkloadRequest(
            id: .random(), tenant: edge.tenant, origin: edge.node, image: "busybox",
            resources: Resources(cpus: 1, memory: .mebibytes(64)), policy: Policy(kind: .remote))
    }

    @Test("It stays while the node is heard, and while what the node was granted may still be believed there")
    func stays() async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ ($0.heartbeat, $0.leastLease) = (.milliseconds(300), .seconds(30)) }) {
                gateway in
                let edge = try scene.node("edge", of: gateway)
                try await scene.running(edge) {
                    let request = Self.request(edge)
                    let (cloud, workload) = try await Self.settled(scene, gateway, edge, request)
                    await #expect {
                        try await edge.replace(request, epoch: workload.version.epoch, isMove: false, refused: [:])
                    } throws: { ($0 as? SessionError)?.code == .conflict }
                    cloud.control.link.close(nil)
                    try await eventually("it is lost") { edge.snapshot[workload.target]?.state == .unreachable }
                    let answer = try await edge.replace(
                        request, epoch: workload.version.epoch, isMove: false, refused: [:])
                    #expect(answer.decision.target == nil)
                    #expect(try #require(answer.wait) > .seconds(25))
                }
            }
        }
    }

    @Test("It gets another node in a newer epoch, and the lost node gives it up with its first report when it is back")
    func moves() async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ $0.heartbeat = .milliseconds(300) }) { gateway in
                let edge = try scene.node("edge", of: gateway)
                let spare = try scene.node("spare", of: gateway, cpus: 1)
                try await scene.running(edge) {
                    let request = Self.request(edge)
                    let (cloud, workload) = try await Self.settled(scene, gateway, edge, request)
                    try await scene.running(spare) {
                        try await Self.lose(cloud, known: edge, spare)
                        var placed = try await edge.replace(
                            request, epoch: workload.version.epoch, isMove: false, refused: [:])
                        while let wait = placed.wait {
                            try await Task.sleep(for: wait)
                            placed = try await edge.replace(
                                request, epoch: workload.version.epoch, isMove: false, refused: [:])
                        }
                        #expect(placed.decision.target == spare.node)
                        #expect(placed.epoch == workload.version.epoch + 1)
                        let lost = placed.decision.candidates.first { $0.node == workload.target }
                        #expect(lost?.refusals.contains { $0.contains("lost") } ?? false)
                        await #expect {
                            try await edge.replace(request, epoch: workload.version.epoch, isMove: false, refused: [:])
                        } throws: { ($0 as? SessionError)?.code == .conflict }

                        let back = try await RawNode.connect(scene, "cloud", to: gateway)
                        try await back.hello(capacity: Resources(cpus: 4, memory: .gibibytes(4)))
                        try await back.report(2, isFull: true, [workload])
                        let retired = back.bodies.compactMap { if case .retire(let one) = $0 { one } else { nil } }
                        #expect(retired.map(\.workload) == [workload.id.hex])
                        #expect(retired.first?.epoch == workload.version.epoch)
                        let order = back.bodies.compactMap { body -> String? in
                            switch body {
                            case .retire: "retire"
                            case .reportAck: "ack"
                            default: nil
                            }
                        }
                        #expect(order == ["retire", "ack"], "what is over is told before the rest is confirmed")
                    }
                }
            }
        }
    }

    @Test("A device that was away after it was given another node may ask again, though that lease has expired")
    func expired() async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ ($0.heartbeat, $0.pendingLimit) = (.milliseconds(300), .seconds(2)) }) {
                gateway in
                let edge = try scene.node("edge", of: gateway)
                let spare = try scene.node("spare", of: gateway, cpus: 1)
                try await scene.running(edge) {
                    let request = Self.request(edge)
                    let (cloud, workload) = try await Self.settled(scene, gateway, edge, request)
                    let replaced: @Sendable () async throws -> Placed = {
                        try await edge.replace(request, epoch: workload.version.epoch, isMove: false, refused: [:])
                    }
                    try await scene.running(spare) {
                        try await Self.lose(cloud, known: edge, spare)
                        try await eventually("it is given another node") { try await replaced().epoch == 2 }
                        try await eventually("that lease expires") {
                            try await scene.withOperator(gateway) { try await $0.explain(request.id.hex).state }
                                == .removed
                        }
                        let again = try await replaced()
                        #expect(again.decision.target == spare.node && again.epoch == 3)
                        await #expect { _ = try await replaced() } throws: {
                            ($0 as? SessionError)?.code == .conflict
                        }
                    }
                }
            }
        }
    }

    @Test("A gateway that has just started waits for what the one before it may have granted")
    func formerGrants() async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ $0.leastLease = .seconds(100) }) { _ in }
            let wait = Mutex<Duration?>(nil)
            try await scene.withGateway({ $0.heartbeat = .milliseconds(300) }) { gateway in
                let edge = try scene.node("edge", of: gateway)
                try await scene.running(edge) {
                    let request = Self.request(edge)
                    let (cloud, workload) = try await Self.settled(scene, gateway, edge, request)
                    cloud.control.link.close(nil)
                    try await eventually("it is lost") { edge.snapshot[workload.target]?.state == .unreachable }
                    let answer = try await edge.replace(
                        request, epoch: workload.version.epoch, isMove: false, refused: [:])
                    wait.withLock { $0 = answer.wait }
                }
            }
            #expect(try #require(wait.withLock { $0 }) > .seconds(90))
        }
    }

    @Test(
        "An epoch that the ledger does not have is taken in only by a gateway that recovers, and is the last one's successor",
        arguments: [false, true])
    func lostEpoch(recovers: Bool) async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ ($0.heartbeat, $0.recoversEpochs) = (.milliseconds(300), recovers) }) {
                gateway in
                let edge = try scene.node("edge", of: gateway)
                try await scene.running(edge) {
                    let request = Self.request(edge)
                    let (cloud, workload) = try await Self.settled(scene, gateway, edge, request)
                    let other = try await RawNode.connect(scene, "other", to: gateway)
                    try await other.hello(capacity: Resources(cpus: 4, memory: .gibibytes(4)))
                    var later = workload
                    later.target = try NodeID("other")
                    later.version = Version(epoch: 7, sequence: 1)
                    later.state = .exited
                    try await other.report(1, isFull: true, [later])
                    let known = try await scene.withOperator(gateway) { try await $0.explain(request.id.hex) }
                    #expect(known.version.epoch == (recovers ? 7 : 1))
                    #expect(known.target.name == (recovers ? "other" : "cloud"))
                    let placed = try? await edge.replace(request, epoch: 7, isMove: true, refused: [:])
                    #expect(placed?.epoch == (recovers ? 8 : nil))
                    let retired = {
                        cloud.bodies.compactMap { if case .retire(let retire) = $0 { retire.epoch } else { nil } }
                    }
                    if recovers { try await eventually("what ran there is given up") { !retired().isEmpty } }
                    #expect(retired() == (recovers ? [6] : []))
                    cloud.control.link.close(nil)
                    other.control.link.close(nil)
                }
            }
        }
    }

    @Test("A move waits for no lease, but only for the end of what runs")
    func move() async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ ($0.heartbeat, $0.leastLease) = (.milliseconds(300), .seconds(30)) }) {
                gateway in
                let edge = try scene.node("edge", of: gateway)
                let spare = try scene.node("spare", of: gateway, cpus: 0.5)
                try await scene.running(edge, spare) {
                    var request = Self.request(edge)
                    let (cloud, workload) = try await Self.settled(scene, gateway, edge, request)
                    let epoch = workload.version.epoch
                    await #expect {
                        try await edge.replace(request, epoch: epoch, isMove: true, refused: [:])
                    } throws: { ($0 as? SessionError)?.code == .conflict }
                    var stopped = workload
                    stopped.state = .exited
                    stopped.version.sequence += 1
                    try await cloud.report(2, [stopped])
                    request.resources = .none
                    let placed = try await edge.replace(request, epoch: epoch, isMove: true, refused: [:])
                    #expect(placed.decision.target == spare.node)
                    #expect(placed.epoch == epoch + 1)
                    let retired = cloud.bodies.contains { if case .retire = $0 { true } else { false } }
                    #expect(!retired, "its origin removes it when it is elsewhere")
                    cloud.control.link.close(nil)
                }
            }
        }
    }

    @Test("Work of another origin is none of a node's to move")
    func foreign() async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ $0.heartbeat = .milliseconds(300) }) { gateway in
                let edge = try scene.node("edge", of: gateway)
                let other = try scene.node("other", of: gateway, cpus: 0.5)
                try await scene.running(edge, other) {
                    let request = Self.request(edge)
                    let (_, workload) = try await Self.settled(scene, gateway, edge, request)
                    await #expect {
                        try await other.replace(request, epoch: workload.version.epoch, isMove: false, refused: [:])
                    } throws: { ($0 as? SessionError)?.code == .notFound }
                }
            }
        }
    }
}
