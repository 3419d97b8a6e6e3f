import Fleet
import FoundationEssentials
import Gateway
import Session
import Synchronization
import Testing
import Trust

@Suite(.timeLimit(.minutes(2)))
struct PlacingTests {
    private func request(_ node: GatewaySession, _ kind: Policy.Kind, id: WorkloadID = .random()) -> WorkloadRequest {
        WorkloadRequest(
            id: id, tenant: node.tenant, origin: node.node, name: "job", image: "busybox",
            resources: Resources(cpus: 1, memory: .mebibytes(64)), policy: Policy(kind: kind))
    }

    @Test("What was removed is in no list, also not in that of all; it is still explained")
    func removed() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                try await scene.running(edge) {
                    let request = WorkloadRequest(id: .random(), tenant: edge.tenant, origin: edge.node, image: "x")
                    let placed = try await edge.place(request, refused: [:])
                    let listed = { try await scene.withOperator(gateway) { try await $0.workloads(all: true) } }
                    #expect(try await listed().map(\.id) == [request.id])
                    await edge.abandon(request.id, epoch: placed.epoch, reason: "it is not wanted")
                    try await eventually("it is gone") { try await listed().isEmpty }
                    let known = try await scene.withOperator(gateway) { try await $0.explain(request.id.hex) }
                    #expect(known.state == .removed)
                }
            }
        }
    }

    @Test("A remote placement leases another node, counts it there, and its ticket verifies offline")
    func remote() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway, addresses: ["192.0.2.1:7701"])
                try await scene.running(edge, cloud) {
                    let request = request(edge, .remote)
                    let placed = try await edge.place(request, refused: [:])
                    #expect(placed.decision.target == cloud.node)
                    #expect(placed.epoch == 1)
                    #expect(placed.addresses == ["192.0.2.1:7701"])
                    let now = Date().timeIntervalSince1970
                    let ticket = try edge.credentials.ticketVerifier().verify(placed.ticket, now: now)
                    #expect(ticket.workload == request.id)
                    #expect(ticket.origin == edge.node && ticket.target == cloud.node)
                    #expect(ticket.epoch == 1)
                    #expect(ticket.expiresAt > now + 86_000)
                    try await eventually("the lease is counted") {
                        edge.snapshot[cloud.node]?.reserved.cpus == 1
                    }
                    await edge.abandon(request.id, epoch: placed.epoch, reason: "changed my mind")
                    try await eventually("the lease is given back") { edge.snapshot[cloud.node]?.reserved.cpus == 0 }
                }
            }
        }
    }

    @Test("A device hears at once how its work has ended elsewhere, and of nothing else")
    func ends() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let heard = Mutex<[WorkloadEnd]>([])
                let edge = try scene.node("edge", of: [gateway], ended: { end in heard.withLock { $0.append(end) } })
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge, cloud) {
                    let request = request(edge, .remote)
                    let placed = try await edge.place(request, refused: [:])
                    var workload = Workload(
                        id: request.id, tenant: edge.tenant, origin: edge.node, target: cloud.node, state: .running,
                        version: Version(epoch: placed.epoch, sequence: 1))
                    cloud.report(workload)
                    try await eventually("it is reported") { cloud.isSettled }
                    #expect(heard.withLock(\.self).isEmpty)
                    (workload.state, workload.version.sequence) = (.exited, 2)
                    cloud.report(workload)
                    try await eventually("it is reported") { cloud.isSettled }
                    (workload.exitCode, workload.finishedAt, workload.version.sequence) = (3, 1.5, 3)
                    cloud.report(workload)
                    let end = WorkloadEnd(workload: request.id, epoch: placed.epoch, exitCode: 3, finishedAt: 1.5)
                    try await eventually("the device hears how") { heard.withLock { $0 == [end] } }
                }
            }
        }
    }

    @Test("A lease whose answer was lost is given back, and one that is asked for again is not")
    func lostAnswers() async throws {
        try await Scene.with { scene in
            let ledger = try FailingLedger(path: scene.path + "/ledger.sqlite")
            try await scene.withGateway(ledger: ledger) { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge, cloud) {
                    let lost = request(edge, .remote)
                    let again = request(edge, .remote)
                    ledger.placingDelay = .seconds(3)
                    for request in [lost, again] {
                        await #expect(throws: SessionError.self) { try await edge.place(request, refused: [:]) }
                    }
                    ledger.placingDelay = .zero
                    let placed = try await edge.place(again, refused: [:])
                    try await eventually("the lost one is given back", within: .seconds(20)) {
                        try await ledger.workload(lost.id)?.state == .removed
                    }
                    #expect(try await ledger.workload(again.id)?.state == .pending)
                    #expect(try await ledger.workload(again.id)?.version.epoch ?? 0 >= placed.epoch)
                }
            }
        }
    }

    @Test("A retried placement gets a newer epoch, and the lease is counted once")
    func retried() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway, cpus: 1)
                try await scene.running(edge, cloud) {
                    let request = request(edge, .remote)
                    #expect(try await edge.place(request, refused: [:]).epoch == 1)
                    let again = try await edge.place(request, refused: [:])
                    #expect(again.epoch == 2)
                    // The node has one core: the first lease must not stand in the second one's way.
                    #expect(again.decision.target == cloud.node)
                    try await eventually("one core is reserved") { edge.snapshot[cloud.node]?.reserved.cpus == 1 }
                    let refused = try await edge.place(request, refused: [cloud.node: "no such image"])
                    #expect(refused.decision.target == edge.node)
                    #expect(refused.epoch == 3)
                    #expect(refused.ticket.isEmpty)
                }
            }
        }
    }

    @Test("A workload that runs is not placed again, and one of another node not at all")
    func notTwice() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge, cloud) {
                    let request = request(edge, .remote)
                    let placed = try await edge.place(request, refused: [:])
                    var running = try Workload.sample(request.id, at: "cloud", epoch: placed.epoch)
                    running.origin = edge.node
                    cloud.report(running)
                    try await eventually("it runs") { cloud.isSettled }
                    let again = await #expect(throws: SessionError.self) {
                        _ = try await edge.place(request, refused: [:])
                    }
                    #expect(again?.code == .invalid)
                    let ticket = try await edge.ticket(for: request.id)
                    #expect(
                        try edge.credentials.ticketVerifier().verify(ticket, now: Date().timeIntervalSince1970).epoch
                            == 1)
                    let other = await #expect(throws: SessionError.self) { _ = try await cloud.ticket(for: request.id) }
                    #expect(other?.code == .notFound)
                    let stolen = self.request(cloud, .local, id: request.id)
                    let theft = await #expect(throws: SessionError.self) {
                        _ = try await cloud.place(stolen, refused: [:])
                    }
                    #expect(theft?.code == .denied)
                }
            }
        }
    }

    @Test("A lease without a container expires")
    func expiry() async throws {
        try await Scene.with { scene in
            try await scene.withGateway(
                port: 0, ledger: nil, { $0.pendingLimit = .milliseconds(200) }
            ) { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge, cloud) {
                    let request = request(edge, .remote)
                    _ = try await edge.place(request, refused: [:])
                    try await eventually("the lease expires") {
                        try await scene.withOperator(gateway) { try await $0.explain(request.id.hex).state } == .removed
                    }
                }
            }
        }
    }

    @Test("An operator sees why a workload went where it went")
    func explained() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                try await scene.running(edge) {
                    let request = request(edge, .local)
                    _ = try await edge.place(request, refused: [:])
                    let workload = try await scene.withOperator(gateway) { try await $0.explain("job") }
                    #expect(workload.id == request.id)
                    #expect(workload.decision?.target == edge.node)
                    #expect(workload.decision?.reason.isEmpty == false)
                }
            }
        }
    }
}
