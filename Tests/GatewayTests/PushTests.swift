import Fleet
import FoundationEssentials
import Gateway
import Link
import NIOCore
import NIOPosix
import Session
import Testing
import Trust
import Wire

@Suite(.timeLimit(.minutes(2)))
struct PushTests {
    @Test("A node that arrives or leaves is pushed to the others, within three heartbeats when it is lost")
    func arrivalsAndLosses() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge) {
                    try await scene.running(cloud) {
                        try await eventually("cloud is ready") { edge.snapshot[cloud.node]?.state == .ready }
                    }
                    try await eventually("cloud is lost") { edge.snapshot[cloud.node]?.state == .unreachable }
                    #expect(edge.snapshot[edge.node]?.state == .ready)
                }
            }
        }
    }

    @Test("A node that is connected but silent becomes suspect, then unreachable")
    func silence() async throws {
        try await Scene.with { scene in
            // Long enough for the state in between to be seen.
            try await scene.withGateway(port: 0, ledger: nil, { $0.heartbeat = .milliseconds(500) }) { gateway in
                let edge = try scene.node("edge", of: gateway)
                let mute = try NodeID("mute")
                try await scene.running(edge) {
                    let raw = try await RawNode.connect(scene, "mute", to: gateway)
                    try await raw.hello()
                    try await eventually("it is suspect") { edge.snapshot[mute]?.state == .suspect }
                    try await eventually("it is unreachable") { edge.snapshot[mute]?.state == .unreachable }
                    raw.control.link.close(nil)
                }
            }
        }
    }

    @Test("A node is asked about a lost one, and what it finds is told to all", arguments: [true, false])
    func secondOpinion(listens: Bool) async throws {
        try await Scene.with { scene in
            try await scene.withGateway({ $0.heartbeat = .milliseconds(200) }) { gateway in
                let edge = try scene.node("edge", of: gateway)
                let mute = try NodeID("mute")
                try await scene.running(edge) {
                    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                        .bind(host: "127.0.0.1", port: 0).get()
                    let port = try #require(server.localAddress?.port)
                    if !listens { try await server.close() }
                    let raw = try await RawNode.connect(scene, "mute", to: gateway)
                    try await raw.hello(addresses: ["127.0.0.1:\(port)"])
                    try await eventually("edge's opinion is known") { edge.snapshot[mute]?.opinion != nil }
                    #expect(edge.snapshot[mute]?.opinion == SecondOpinion(by: edge.node, listens ? .answers : .refuses))
                    #expect(edge.snapshot[mute]?.state == .unreachable)
                    raw.control.link.close(nil)
                    if listens { try await server.close() }
                }
            }
        }
    }

    @Test("Nodes of different tenants do not see each other")
    func isolation() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let red = try scene.node("red", of: gateway, tenant: try TenantID("red"))
                let blue = try scene.node("blue", of: gateway, tenant: try TenantID("blue"))
                try await scene.running(red, blue) {
                    try await eventually("each sees itself") {
                        red.snapshot[red.node] != nil && blue.snapshot[blue.node] != nil
                    }
                    #expect(red.snapshot.nodes.map(\.id) == [red.node])
                    #expect(blue.snapshot.nodes.map(\.id) == [blue.node])
                    let error = await #expect(throws: SessionError.self) { _ = try await red.link(to: blue.node) }
                    #expect(error?.message.contains("no node 'blue'") == true)
                    var request = WorkloadRequest(id: .random(), tenant: red.tenant, origin: red.node, image: "x")
                    request.policy.kind = .remote
                    #expect(try await red.place(request, refused: [:]).decision.target == red.node)
                    let seen = try await scene.withOperator(gateway, tenant: blue.tenant) { operate in
                        (try await operate.nodes().map(\.id), try await operate.workloads(all: true).count)
                    }
                    #expect(seen.0 == [blue.node])
                    #expect(seen.1 == 0)
                }
            }
        }
    }

    @Test("The newer of two sessions of a node stays, the older is closed")
    func newerSession() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let first = try await RawNode.connect(scene, "edge", to: gateway)
                try await first.hello()
                let second = try await RawNode.connect(scene, "edge", to: gateway)
                try await second.hello()
                try await eventually("the older link is closed") { !first.control.link.isActive }
                #expect(first.bodies.contains { if case .failure = $0 { true } else { false } })
                #expect(second.control.link.isActive)
                second.control.link.close(nil)
            }
        }
    }

    @Test("A gateway that starts again with the same data knows its workloads, and its nodes come back by themselves")
    func restart() async throws {
        try await Scene.with { scene in
            let port = try await freePort()
            let edge = try scene.node("edge", of: "127.0.0.1:\(port)")
            let first = try Workload.sample(at: "edge")
            let second = try Workload.sample(at: "edge")
            try await during({ await edge.run() }) {
                try await scene.withGateway(port: port) { _ in
                    try await eventually("the node is connected") { edge.isConnected }
                    edge.report(first)
                    try await eventually("the report is acknowledged") { edge.isSettled }
                }
                try await eventually("the gateway's end is noticed") { !edge.isConnected }
                let revision = edge.snapshot.revision
                #expect(edge.snapshot[edge.node] != nil)
                edge.report(second)
                try await scene.withGateway(port: port) { gateway in
                    try await eventually("the node is connected again") { edge.isConnected && edge.isSettled }
                    let known = try await scene.withOperator(gateway) { try await $0.workloads() }
                    #expect(Set(known.map(\.id)) == [first.id, second.id])
                    try await eventually("a fresh push has come") { edge.snapshot.revision > revision }
                }
            }
        }
    }

    @Test("A certificate past two thirds of its life is renewed on the running session and saved")
    func renewal() async throws {
        try await Scene.with { scene in
            try await scene.withGateway(port: 0, ledger: nil, { $0.certificateLife = .seconds(3600) }) { gateway in
                let edge = try scene.node("edge", of: gateway, life: .seconds(60))
                let before = edge.credentials
                try await scene.running(edge) {
                    try await eventually("the certificate is renewed") {
                        edge.credentials.expiresAt > before.expiresAt + 60
                    }
                    #expect(edge.isConnected)
                    #expect(edge.credentials.identity == before.identity)
                    #expect(edge.credentials.keyPEM != before.keyPEM)
                    // It counts before it is saved: a disk that is full must not end a session.
                    try await eventually("it is saved") {
                        try scene.node("edge", of: gateway).credentials.expiresAt == edge.credentials.expiresAt
                    }
                }
            }
        }
    }
}
