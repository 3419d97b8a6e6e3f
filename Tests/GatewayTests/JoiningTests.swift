import Authority
import Fleet
import FoundationEssentials
import NIOPosix
import Session
import Testing
import Trust

@Suite(.timeLimit(.minutes(2)))
struct JoiningTests {
    private func join(_ scene: Scene, _ gateway: String, _ token: JoinToken, as node: String?) async throws
        -> Credentials
    {
        try await Enrolment.join(
            gateway: gateway, token: token, node: node, directory: scene.path + "/joined-\(WorkloadID.random())",
            on: Scene.loop, logger: scene.logger)
    }

    @Test("A machine with a good token becomes a node of the token's tenant, under the name it asked for")
    func goodToken() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let token = try await scene.token(gateway, tenant: try TenantID("blue"))
                let credentials = try await join(scene, gateway, token, as: "edge")
                #expect(
                    credentials.identity == PeerIdentity(role: .node(try NodeID("edge")), tenant: try TenantID("blue")))
                #expect(credentials.fleet == "scene")
                let nodes = try await scene.withOperator(gateway) { try await $0.nodes() }
                #expect(nodes.map(\.id.name) == ["edge"])
                #expect(nodes.first?.state == .unreachable)
            }
        }
    }

    @Test("A machine that asks for no name gets a free one")
    func drawnName() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let first = try await join(scene, gateway, try await scene.token(gateway), as: nil)
                let second = try await join(scene, gateway, try await scene.token(gateway), as: nil)
                #expect(first.node != nil)
                #expect(first.node != second.node)
            }
        }
    }

    @Test("A token works once; the second machine is told by whom it was used")
    func usedToken() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let token = try await scene.token(gateway)
                _ = try await join(scene, gateway, token, as: "first")
                let error = await #expect(throws: SessionError.self) {
                    _ = try await join(scene, gateway, token, as: "second")
                }
                #expect(error?.code == .denied)
                #expect(error?.message.contains("first") == true)
            }
        }
    }

    @Test("A token past its time is refused as expired")
    func expiredToken() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let token = try await scene.token(gateway, ttl: .seconds(1))
                let begun = ContinuousClock.now
                try await eventually("the token expires") { ContinuousClock.now - begun > .milliseconds(1100) }
                let error = await #expect(throws: SessionError.self) {
                    _ = try await join(scene, gateway, token, as: "late")
                }
                #expect(error?.code == .denied)
                #expect(error?.message.contains("expired") == true)
            }
        }
    }

    @Test("A token that the gateway never gave out is refused, and one of another fleet before it is sent")
    func wrongTokens() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let unknown = try scene.authority.joinToken()
                let denied = await #expect(throws: SessionError.self) {
                    _ = try await join(scene, gateway, unknown, as: "x")
                }
                #expect(denied?.code == .denied)
                let foreign = try JoinToken(caDigest: [UInt8](repeating: 7, count: 32))
                let distrusted = await #expect(throws: SessionError.self) {
                    _ = try await join(scene, gateway, foreign, as: "x")
                }
                #expect(distrusted?.code == .credentials)
            }
        }
    }

    @Test("The name of a connected node is not given away, and the token stays good")
    func takenName() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let node = try scene.node("edge", of: gateway)
                try await scene.running(node) {
                    let token = try await scene.token(gateway)
                    let error = await #expect(throws: SessionError.self) {
                        _ = try await join(scene, gateway, token, as: "edge")
                    }
                    #expect(error?.code == .invalid)
                    #expect(try await join(scene, gateway, token, as: "other").node?.name == "other")
                }
            }
        }
    }
}
