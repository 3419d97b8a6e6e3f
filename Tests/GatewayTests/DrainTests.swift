import Fleet
import Session
import Testing

@testable import Gateway

@Suite("Nodes that are drained")
struct DrainTests {
    private static func request(_ edge: GatewaySession) -> WorkloadRequest {
        WorkloadRequest(
            id: .random(), tenant: edge.tenant, origin: edge.node, name: "web", image: "busybox",
            policy: Policy(kind: .remote))
    }

    @Test("Nothing new is placed there, also by the next gateway, until it is resumed; all devices are told")
    func placing() async throws {
        try await Scene.with { scene in
            let cloud = try NodeID("cloud")
            try await scene.withGateway { gateway in
                let (edge, node) = (try scene.node("edge", of: gateway), try scene.node("cloud", of: gateway))
                try await scene.running(edge, node) {
                    let answer = try await scene.withOperator(gateway) { try await $0.drain("cloud", .drain) }
                    #expect(answer.node.drainedSince != nil)
                    try await eventually("the device knows") { edge.snapshot[cloud]?.drainedSince != nil }
                    #expect(edge.snapshot[cloud]?.drainsWithState == false)
                    let again = try await scene.withOperator(gateway) {
                        try await $0.drain("cloud", .drain, withState: true)
                    }
                    #expect(again.node.drainedSince == answer.node.drainedSince)
                    try await eventually("the device knows how") { edge.snapshot[cloud]?.drainsWithState == true }
                    let decision = try await edge.place(Self.request(edge), refused: [:]).decision
                    #expect(decision.target == edge.node)
                    #expect(decision.warnings.joined().contains("it is drained"))
                }
            }
            try await scene.withGateway { gateway in
                let (edge, node) = (try scene.node("edge", of: gateway), try scene.node("cloud", of: gateway))
                try await scene.running(edge, node) {
                    try await eventually("the device knows") { edge.snapshot[cloud]?.state == .ready }
                    #expect(edge.snapshot[cloud]?.drainedSince != nil)
                    #expect(edge.snapshot[cloud]?.drainsWithState == true)
                    #expect(try await edge.place(Self.request(edge), refused: [:]).decision.target == edge.node)
                    let answer = try await scene.withOperator(gateway) { try await $0.drain("cloud", .resume) }
                    #expect(answer.node.drainedSince == nil && !answer.node.drainsWithState)
                    #expect(try await edge.place(Self.request(edge), refused: [:]).decision.target == cloud)
                }
            }
        }
    }

    @Test("What is left there is shown with what its device says of it, and that its device is away")
    func left() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let (edge, node) = (try scene.node("edge", of: gateway), try scene.node("cloud", of: gateway))
                try await scene.running(node) {
                    let request = Self.request(edge)
                    let row = DrainedWorkload(
                        id: request.id, name: "web", origin: edge.node, standing: .stays,
                        reason: "volume data is there")
                    try await scene.running(edge) {
                        try await eventually("the device knows the node") { edge.snapshot[node.node]?.state == .ready }
                        #expect(try await edge.place(request, refused: [:]).decision.target == node.node)
                        // Of a node that is not drained nothing is kept.
                        edge.report([row], atDrained: node.node, withState: false)
                        let first = try await scene.withOperator(gateway) { try await $0.drain("cloud", .drain) }
                        #expect(first.left.map(\.standing) == [.unseen])
                        edge.report([row], atDrained: node.node, withState: false)
                        try await eventually("the gateway has heard it") {
                            try await scene.withOperator(gateway) { try await $0.drain("cloud", .look) }.left == [row]
                        }
                        // One that is stopped for its way has ended, as its node sees it.
                        let onItsWay = DrainedWorkload(
                            id: .random(), name: "db", origin: edge.node, standing: .moving)
                        edge.report([row, onItsWay], atDrained: node.node, withState: false)
                        try await eventually("the one on its way is shown") {
                            let left = try await scene.withOperator(gateway) { try await $0.drain("cloud", .look) }.left
                            return left == [row, onItsWay]
                        }
                    }
                    try await eventually("the device is away") {
                        let left = try await scene.withOperator(gateway) { try await $0.drain("cloud", .look) }.left
                        return left.map(\.standing) == [.away] && left[0].reason.contains("device edge is away")
                    }
                }
            }
        }
    }

    @Test("What a device said of a drain in another mode does not count, also where it comes late")
    func modes() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let (edge, node) = (try scene.node("edge", of: gateway), try scene.node("cloud", of: gateway))
                try await scene.running(edge, node) {
                    try await eventually("the device knows the node") { edge.snapshot[node.node]?.state == .ready }
                    let request = Self.request(edge)
                    #expect(try await edge.place(request, refused: [:]).decision.target == node.node)
                    let row = { (reason: String) in
                        DrainedWorkload(
                            id: request.id, name: "web", origin: edge.node, standing: .stays, reason: reason)
                    }
                    let left = { (withState: Bool?) in
                        try await scene.withOperator(gateway) { client in
                            try await client.drain(
                                "cloud", withState == nil ? .look : .drain, withState: withState ?? false
                            ).left
                        }
                    }
                    _ = try await left(false)
                    // A report is not repeated by itself where the session has just ended.
                    try await eventually("the gateway has heard it") {
                        edge.report([row("without")], atDrained: node.node, withState: false)
                        return try await left(nil) == [row("without")]
                    }
                    #expect(try await left(true).map(\.standing) == [.unseen])
                    edge.report([row("late")], atDrained: node.node, withState: false)
                    try await eventually("the gateway has heard the new one") {
                        edge.report([row("with")], atDrained: node.node, withState: true)
                        return try await left(nil) == [row("with")]
                    }
                    edge.report([row("late")], atDrained: node.node, withState: false)
                    // By the time that a question of the same session is answered, the late report has been read.
                    _ = try? await edge.place(Self.request(edge), refused: [:])
                    #expect(try await left(nil) == [row("with")])
                }
            }
        }
    }

    @Test("What is at a node that is lost is said to be there, not to have a device that says nothing")
    func lost() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let (edge, node) = (try scene.node("edge", of: gateway), try scene.node("cloud", of: gateway))
                try await scene.running(edge) {
                    try await scene.running(node) {
                        try await eventually("the device knows it") { edge.snapshot[node.node]?.state == .ready }
                        let placed = try await edge.place(Self.request(edge), refused: [:])
                        #expect(placed.decision.target == node.node)
                    }
                    try await eventually("the node is lost") { edge.snapshot[node.node]?.state == .unreachable }
                    let left = try await scene.withOperator(gateway) { try await $0.drain("cloud", .drain) }.left
                    #expect(left.map(\.standing) == [.away])
                    #expect(left.first?.reason.hasPrefix("node cloud is unreachable: ") == true)
                }
            }
        }
    }

    @Test("Only an operator whose tenant's node it is may drain one")
    func tenants() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let node = try scene.node("cloud", of: gateway)
                try await scene.running(node) {
                    for (tenant, name) in [(try TenantID("acme"), "cloud"), (.main, "nowhere"), (.main, "no name")] {
                        await #expect {
                            try await scene.withOperator(gateway, tenant: tenant) { try await $0.drain(name, .drain) }
                        } throws: { ($0 as? SessionError)?.code == .notFound }
                    }
                    #expect(node.snapshot[node.node]?.drainedSince == nil)
                }
            }
        }
    }
}
