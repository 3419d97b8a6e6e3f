import Fleet
import Ledger
import Testing

extension LedgerConformance {
    static let looking = [
        LedgerConformance("ended workloads are listed only when asked for, and the newest come first") { ledger in
            let node = try Sample.node("cloud1")
            for (number, state) in WorkloadState.allCases.enumerated() {
                var workload = try Sample.workload(Sample.id(number + 1), state: state)
                workload.createdAt = Double(number)
                _ = try await ledger.apply([WorkloadUpdate(workload)], from: node)
            }
            let all = try await ledger.workloads(includingEnded: true)
            #expect(all.map(\.state) == WorkloadState.allCases.reversed())
            let live = try await ledger.workloads(includingEnded: false)
            #expect(live.map(\.state) == [.paused, .running, .created, .pending])
        },
        LedgerConformance("a workload is found by its id, its container's id, its name and a beginning") { ledger in
            let node = try Sample.node("cloud1")
            let container = String(repeating: "c0ffee00", count: 8)
            var workload = try Sample.workload(try WorkloadID("abcdef00000000000000000000000001"))
            workload.containerID = container
            var other = try Sample.workload(try WorkloadID("abcdef00000000000000000000000002"))
            other.name = "c0ffee"
            other.createdAt = 20
            _ = try await ledger.apply([WorkloadUpdate(workload), WorkloadUpdate(other)], from: node)
            for reference in [workload.id.hex, container, "web", "c0ffee0"] {
                #expect(try await ledger.find(reference).map(\.id) == [workload.id])
            }
            // A whole name goes before a beginning.
            #expect(try await ledger.find("c0ffee").map(\.id) == [other.id])
            #expect(try await ledger.find("abc").map(\.id) == [other.id, workload.id])
            for reference in ["", "we", "zzz", "%", "_", "abcdeg", "' OR 1=1 --"] {
                #expect(try await ledger.find(reference).isEmpty)
            }
        },
        LedgerConformance("a workload that is not there is nil") { ledger in
            let unknown = try await ledger.workload(.random())
            #expect(unknown == nil)
            #expect(try await ledger.workloads(includingEnded: true).isEmpty)
        },
    ]

    static let members = [
        LedgerConformance("a node is kept as it last was, and forgotten when removed") { ledger in
            var node = Node(id: try Sample.node("edge1"), tags: ["gpu"], capacity: Resources(cpus: 4))
            try await ledger.upsertNode(node)
            node.measures.cpu = 0.25
            node.addresses = ["10.0.0.1:7100"]
            try await ledger.upsertNode(node)
            let first = Node(id: try Sample.node("cloud1"))
            try await ledger.upsertNode(first)
            #expect(try await ledger.nodes() == [first, node])
            try await ledger.removeNode(node.id)
            #expect(try await ledger.nodes() == [first])
        },
        LedgerConformance("a token joins one node, once") { ledger in
            let token = StoredToken(id: "a1", secretHash: [1, 2, 3], tenant: .main, expiresAt: 100)
            try await ledger.addToken(token)
            let edge = try Sample.node("edge1")
            #expect(try await redeem(ledger, "a1", [1, 2, 3], "edge1", now: 50) == .redeemed(token))
            #expect(try await redeem(ledger, "a1", [1, 2, 3], "edge2", now: 60) == .used(by: edge.name, at: 50))
        },
        LedgerConformance("of many that use one token at once, one joins") { ledger in
            try await ledger.addToken(StoredToken(id: "a1", secretHash: [1], tenant: .main, expiresAt: 100))
            let outcomes = try await withThrowingTaskGroup(of: TokenOutcome.self) { group in
                for number in 0..<32 { group.addTask { try await redeem(ledger, "a1", [1], "n\(number)", now: 1) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let joined = outcomes.count { if case .redeemed = $0 { true } else { false } }
            #expect(joined == 1)
        },
        LedgerConformance("a wrong secret, an unknown token and an expired one are told apart") { ledger in
            try await ledger.addToken(StoredToken(id: "a1", secretHash: [1], tenant: .main, expiresAt: 100))
            #expect(try await redeem(ledger, "a2", [1], "edge1", now: 1) == .unknown)
            #expect(try await redeem(ledger, "a1", [2], "edge1", now: 1) == .wrongSecret)
            #expect(try await redeem(ledger, "a1", [], "edge1", now: 1) == .wrongSecret)
            #expect(try await redeem(ledger, "a1", [1], "edge1", now: 100) == .expired(at: 100))
            // None of these used it up.
            let token = StoredToken(id: "a1", secretHash: [1], tenant: .main, expiresAt: 100)
            #expect(try await redeem(ledger, "a1", [1], "edge1", now: 99) == .redeemed(token))
        },
        LedgerConformance("a name that is taken leaves the token good, and is given again only when rejoining") {
            ledger in
            for id in ["a1", "a2"] {
                try await ledger.addToken(StoredToken(id: id, secretHash: [1], tenant: .main, expiresAt: 100))
            }
            let other = try TenantID("acme")
            try await ledger.addToken(StoredToken(id: "b1", secretHash: [1], tenant: other, expiresAt: 100))
            let edge = try Sample.node("edge1")
            _ = try await redeem(ledger, "a1", [1], "edge1", now: 1)
            #expect(try await redeem(ledger, "a2", [1], "edge1", now: 2) == .nameTaken(edge))
            // Another tenant gets it neither way.
            #expect(try await redeem(ledger, "b1", [1], "edge1", rejoining: true, now: 2) == .nameTaken(edge))
            let outcome = try await redeem(ledger, "a2", [1], "edge1", rejoining: true, now: 3)
            #expect(outcome == .redeemed(StoredToken(id: "a2", secretHash: [1], tenant: .main, expiresAt: 100)))
            try await ledger.removeNode(edge)
            guard case .redeemed = try await redeem(ledger, "b1", [1], "edge1", now: 4) else {
                Issue.record("a name that was given up is still taken")
                return
            }
        },
        LedgerConformance("an operator's token takes no name, and no token is made twice") { ledger in
            let token = StoredToken(id: "a1", secretHash: [1], tenant: .main, expiresAt: 100, isOperator: true)
            try await ledger.addToken(token)
            await #expect { try await ledger.addToken(token) } throws: { ($0 as? LedgerError)?.code == .conflict }
            #expect(try await redeem(ledger, "a1", [1], nil, now: 5) == .redeemed(token))
            #expect(try await redeem(ledger, "a1", [1], nil, now: 6) == .used(by: "", at: 5))
        },
    ]

    static let knowledge = [
        LedgerConformance("what work takes is learnt per kind, and follows a change") { ledger in
            #expect(try await ledger.estimate("a") == nil)
            for seconds in [2.0, 4, 3] { try await ledger.learn("a", coreSeconds: seconds) }
            try await ledger.learn("b", coreSeconds: 100)
            let estimate = try #require(try await ledger.estimate("a"))
            #expect(estimate.count == 3)
            #expect(estimate.mean == 3)
            #expect(estimate.median == 3)
            for _ in 0..<WorkEstimate.window { try await ledger.learn("a", coreSeconds: 10) }
            #expect(try await ledger.estimate("a")?.median == 10)
            try await ledger.learn("a", coreSeconds: .nan)
            #expect(try await ledger.estimate("a")?.median == 10)
        },
        LedgerConformance("a setting is kept, replaced and forgotten") { ledger in
            #expect(try await ledger.setting("fleet") == nil)
            try await ledger.setSetting("fleet", "home")
            try await ledger.setSetting("fleet", "away")
            #expect(try await ledger.setting("fleet") == "away")
            try await ledger.setSetting("fleet", nil)
            #expect(try await ledger.setting("fleet") == nil)
        },
        LedgerConformance("a closed ledger says so") { ledger in
            await ledger.close()
            await #expect { try await ledger.setSetting("a", "b") } throws: { ($0 as? LedgerError)?.code == .closed }
            await #expect { try await ledger.setting("a") } throws: { ($0 as? LedgerError)?.code == .closed }
            await ledger.close()
        },
    ]

    private static func redeem(
        _ ledger: any Ledger, _ id: String, _ secret: [UInt8], _ node: String?, rejoining: Bool = false, now: Double
    ) async throws -> TokenOutcome {
        try await ledger.redeemToken(
            id: id, secretHash: secret, node: node.map { try Sample.node($0) }, isRejoining: rejoining, now: now)
    }
}
