import Fleet
import FoundationEssentials
import Link
import NIOCore
import NIOPosix
import Session
import Testing
import Trust
import Wire

@Suite(.timeLimit(.minutes(2)))
struct PeerLinkTests {
    @Test("A relayed link ends at the target itself and carries streams both ways, half-closes included")
    func relayed() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge, cloud) {
                    let link = try await edge.link(to: cloud.node)
                    // The certificate that TLS checked is the target's: the gateway has no key for it.
                    #expect(link.peer == PeerIdentity(role: .node(cloud.node), tenant: .main))
                    let message = ByteBuffer(bytes: (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 / 7) })
                    var answer = try await Gather.exchange(message, on: link)
                    #expect(answer.readString(length: 18) == "test of node edge:")
                    #expect(answer == message)
                    #expect(edge.existingLink(to: cloud.node) === link)
                }
            }
        }
    }

    @Test("Callers that ask at once share one link, and a link that died is dialled again")
    func shared() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge, cloud) {
                    let links = try await withThrowingTaskGroup(of: LinkConnection.self) { group in
                        for _ in 0..<20 { group.addTask { try await edge.link(to: cloud.node) } }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    let first = try #require(links.first)
                    #expect(links.allSatisfy { $0 === first })
                    first.close(nil)
                    try await eventually("the link is forgotten") { edge.existingLink(to: cloud.node) == nil }
                    let second = try await edge.link(to: cloud.node)
                    #expect(second !== first)
                    let answer = try await Gather.exchange(ByteBuffer(string: "again"), on: second)
                    #expect(String(buffer: answer) == "test of node edge:again")
                }
            }
        }
    }

    @Test("Where a node can be dialled the link is direct, and stands without a gateway")
    func direct() async throws {
        try await Scene.with { scene in
            let cloudPort = try await freePort()
            let gatewayPort = try await freePort()
            let edge = try scene.node("edge", of: "127.0.0.1:\(gatewayPort)")
            let cloud = try scene.node(
                "cloud", of: "127.0.0.1:\(gatewayPort)", addresses: ["127.0.0.1:\(cloudPort)"])
            let listener = try await cloud.listen(host: "127.0.0.1", port: cloudPort)
            try await during({
                await withDiscardingTaskGroup { group in
                    group.addTask { await edge.run() }
                    group.addTask { await cloud.run() }
                }
            }) {
                try await scene.withGateway(port: gatewayPort) { _ in
                    try await eventually("edge knows cloud") { edge.snapshot[cloud.node]?.addresses.isEmpty == false }
                }
                try await eventually("the gateway is gone") { !edge.isConnected }
                let link = try await edge.link(to: cloud.node)
                let answer = try await Gather.exchange(ByteBuffer(string: "direct"), on: link)
                #expect(String(buffer: answer) == "test of node edge:direct")
            }
            try await listener.close()
        }
    }

    @Test("An address that belongs to another node is not taken for the one that was wanted")
    func wrongNode() async throws {
        try await Scene.with { scene in
            let port = try await freePort()
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway, addresses: ["127.0.0.1:\(port)"])
                let other = try scene.node("other", of: gateway)
                let listener = try await other.listen(host: "127.0.0.1", port: port)
                try await scene.running(edge, cloud, other) {
                    try await eventually("edge knows cloud") { edge.snapshot[cloud.node]?.addresses.isEmpty == false }
                    // The relay leads to the right one.
                    let link = try await edge.link(to: cloud.node)
                    #expect(link.peer?.node == cloud.node)
                }
                try await listener.close()
            }
        }
    }

    @Test("Asking for nodes that are unknown or away says which it is")
    func unreachable() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: gateway)
                try await scene.running(edge) {
                    try await scene.running(cloud) {}
                    try await eventually("cloud is gone") { edge.snapshot[cloud.node]?.state == .unreachable }
                    let away = await #expect(throws: SessionError.self) { _ = try await edge.link(to: cloud.node) }
                    #expect(away?.message.contains("not connected") == true)
                    let unknown = await #expect(throws: SessionError.self) {
                        _ = try await edge.link(to: try NodeID("nobody"))
                    }
                    #expect(unknown?.message.contains("no node 'nobody'") == true)
                }
            }
        }
    }
}

/// A port of loopback that nothing listens on, below those that the system hands out to other tests.
func freePort() async throws -> Int {
    while true {
        let port = Int.random(in: 20_000..<32_000)
        guard let channel = try? await ServerBootstrap(group: Scene.loop).bind(host: "127.0.0.1", port: port).get()
        else { continue }
        try await channel.close()
        return port
    }
}
