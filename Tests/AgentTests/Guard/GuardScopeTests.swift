import DockerAPI
import Engine
import Fleet
import Testing
import Trust

@testable import Agent

@Suite("Who may do what through the guard")
@NodeLoop
struct GuardScopeTests {
    static let id = String(repeating: "a1", count: 32)
    static let other = String(repeating: "b2", count: 32)

    enum Bad: String, CaseIterable, Sendable {
        case forged, expired, future, wrongTarget, wrongOrigin, wrongTenant, garbage
    }

    static func ticket(_ kind: Bad, _ rig: GuardRig) throws -> [UInt8] {
        switch kind {
        case .forged: return try rig.ticket(signer: TicketSigner())
        case .expired: return try rig.ticket(expiresAt: GuardRig.now - 120)
        case .future: return try rig.ticket(expiresAt: GuardRig.now + 5000)
        case .wrongTarget: return try rig.ticket(target: try NodeID("cloud2"))
        case .wrongOrigin: return try rig.ticket(origin: try NodeID("edge2"))
        case .wrongTenant: return try rig.ticket(tenant: try TenantID("other"))
        case .garbage: return [1, 2, 3]
        }
    }

    @Test("refuses a ticket that is not this caller's for this node now", arguments: Bad.allCases)
    func badTicket(kind: Bad) async throws {
        try await withGuard { rig, engine in
            let ticket = try Self.ticket(kind, rig)
            rig.know(Self.id)
            let client = try await rig.connect(ticket: ticket)
            let response = try #require(try await client.call("POST", "/v1.41/containers/\(Self.id)/start"))
            #expect(response.status == 403)
            #expect(response.message.hasPrefix("lighter: the ticket"))
            #expect(response.head.headers.first("X-Lighter-Refused") == "policy")
            #expect(engine.calls.isEmpty)
        }
    }

    @Test("refuses peers that are no nodes, and nodes of other tenants")
    func badPeers() async throws {
        try await withGuard { rig, engine in
            for peer in [
                PeerIdentity(role: .gateway, tenant: .main), PeerIdentity(role: .operator("ann"), tenant: .main),
                PeerIdentity(role: .node(rig.origin), tenant: try TenantID("other")),
            ] {
                let client = try await rig.connect(peer: peer)
                #expect(try await client.call("GET", "/_ping")?.status == 403)
            }
            #expect(engine.calls.isEmpty)
        }
    }

    @Test("fences epochs that are over, also by the labels of the containers that are here")
    func epochs() async throws {
        try await withGuard { rig, engine in
            let old = try await rig.connect(ticket: rig.ticket(epoch: 3))
            rig.know(Self.id)
            #expect(try await old.call("GET", "/containers/web/json")?.status == 200)
            let new = try await rig.connect(ticket: rig.ticket(epoch: 4))
            #expect(try await new.call("GET", "/containers/web/json")?.status == 200)
            let refused = try #require(try await old.call("POST", "/containers/web/start"))
            #expect(refused.status == 409)
            #expect(refused.message.contains("epoch 3 of workload"))

            let workload = WorkloadID.random()
            rig.know(Self.other, workload: workload, epoch: 9)
            let late = try await rig.connect(ticket: rig.ticket(workload: workload, epoch: 8))
            #expect(try await late.call("GET", "/containers/web/json")?.status == 409)
            #expect(engine.paths() == ["GET /containers/\(Self.id)/json", "GET /containers/\(Self.id)/json"])
        }
    }

    @Test(
        "knows no container but the ticket's, by whatever it is called",
        arguments: [
            "b2b2b2", "theirs.edge1", "theirs", "host-db", String(repeating: "b2", count: 32), "..", "a%2F..%2Fb",
        ])
    func othersContainers(reference: String) async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            rig.know(Self.other, workload: .random(), name: "theirs.edge1")
            engine.answer = { call in
                // The engine knows them all: one of another workload, and one that is none of Lighter's.
                if call.head.routePath == "/containers/host-db/json" {
                    return .json(["Id": .string(Self.other), "Name": "/host-db", "Config": ["Labels": [:]]])
                }
                return .json(["message": "No such container"], status: 404)
            }
            let client = try await rig.connect(ticket: rig.ticket())
            for (method, action) in [
                ("GET", "json"), ("POST", "start"), ("GET", "logs"), ("POST", "exec"), ("PUT", "archive"),
            ] {
                let response = try #require(
                    try await client.call(
                        method, "/v1.41/containers/\(reference)/\(action)", body: action == "exec" ? "{}" : ""))
                #expect([404, 403].contains(response.status), "\(method) \(action)")
                if response.status == 404 { #expect(response.message.hasPrefix("No such container: ")) }
            }
            #expect(try await client.call("DELETE", "/v1.41/containers/\(reference)?force=1")?.status ?? 0 >= 400)
            #expect(!engine.paths().contains { !$0.hasPrefix("GET ") })
        }
    }

    @Test(
        "takes a container by its id, a prefix, its user's name and its engine's, and names it to the engine by its id",
        arguments: ["a1a1a1", "web", "web.edge1", String(repeating: "a1", count: 32)])
    func ownContainer(reference: String) async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/v1.41/containers/\(reference)/kill?signal=KILL")?.status == 200)
            #expect(engine.calls.first?.head.target == "/v1.41/containers/\(Self.id)/kill?signal=KILL")
        }
    }

    @Test("asks the engine whose container it is when it does not know yet")
    func inventoryMiss() async throws {
        try await withGuard { rig, engine in
            let inspection = rig.inspection(id: Self.id)
            engine.answer = { $0.head.method == "GET" ? .json(inspection) : .raw("HTTP/1.1 204 No Content\r\n\r\n") }
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("POST", "/containers/web/start")?.status == 204)
            #expect(engine.paths() == ["GET /containers/web.edge1/json", "POST /containers/\(Self.id)/start"])
            #expect(rig.reports.list.map(\.containerID) == [Self.id])
        }
    }

    @Test(
        "wants a ticket for containers, and lets lists, events and images pass without",
        arguments: [
            ("POST", "/containers/create", 403), ("GET", "/containers/web/json", 403), ("POST", "/exec/abc/start", 403),
            ("GET", "/_ping", 200), ("HEAD", "/_ping", 200), ("GET", "/v1.41/version", 200), ("GET", "/info", 200),
            ("GET", "/images/sha256:abc/json", 200), ("POST", "/images/create?fromImage=busybox&tag=latest", 200),
            ("POST", "/images/create?fromSrc=http://x", 403), ("POST", "/images/load", 200),
            ("GET", "/images/json", 403),
            ("DELETE", "/images/busybox", 404), ("GET", "/images/busybox/history", 404),
            ("POST", "/images/busybox/tag?repo=a", 403), ("POST", "/lighter/image", 400), ("POST", "/build", 403),
            ("POST", "/session", 403),
            ("POST", "/grpc", 403),
            ("POST", "/volumes/create", 400), ("GET", "/networks", 200), ("POST", "/commit", 403),
            ("GET", "/volumes", 200), ("POST", "/networks/prune", 403), ("PUT", "/volumes/x", 403),
            ("POST", "/networks/x/connect", 403), ("POST", "/volumes/prune", 403),
            ("GET", "/system/df", 200),
            ("POST", "/containers/prune", 403), ("POST", "/swarm/init", 403), ("GET", "/plugins", 403),
            ("GET", "/nope", 403),
            ("GET", "/images/../containers/json", 403), ("GET", "/v1.23/version", 400), ("GET", "/v1.041/version", 400),
            ("POST", "/auth", 403), ("GET", "/images/get?names=x", 403), ("POST", "/images/busybox/push", 403),
        ])
    func tenantScope(method: String, target: String, status: Int) async throws {
        try await withGuard { rig, engine in
            let client = try await rig.connect()
            #expect(try await client.call(method, target)?.status == status)
            #expect(engine.passed.count == (status == 200 ? 1 : 0))
        }
    }

    @Test(
        "refuses what is not offered even with a ticket",
        arguments: [
            ("POST", "/containers/prune"), ("GET", "/containers/web/checkpoints"), ("POST", "/networks/prune"),
        ])
    func notOffered(method: String, target: String) async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call(method, target)?.status == 403)
            #expect(engine.calls.isEmpty)
        }
    }

    @Test(
        "puts the caller's own labels into the filters of lists and events, beside its own",
        arguments: [
            "/v1.41/containers/json", "/v1.41/events",
        ])
    func filters(path: String) async throws {
        try await withGuard { rig, engine in
            let client = try await rig.connect()
            _ = try await client.call(
                "GET", path + "?all=1&filters=%7B%22label%22%3A%5B%22a%3Db%22%5D%7D&filters=%7B%7D")
            let query = DockerPath.parse(method: "GET", target: try #require(engine.calls.first?.head.target)).query
            #expect(query.all("filters").count == 1)
            #expect(
                Set(try query.filters().values("label")) == [
                    "a=b", "io.lighter.tenant=main", "io.lighter.origin=edge1",
                ])
            #expect(try await client.call("GET", path + "?filters=nonsense")?.status == 400)
        }
    }
}
