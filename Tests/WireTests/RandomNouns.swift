import LighterTesting
import Fleet

/// Draws nouns with every field set to anything that it may hold.
struct RandomNouns {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func pick<T>(_ items: [T]) -> T { items[Int.random(in: items.indices, using: &generator)] }
    mutating func flag() -> Bool { Bool.random(using: &generator) }
    mutating func count(_ most: Int) -> Int { Int.random(in: 0...most, using: &generator) }
    mutating func amount(_ most: Double) -> Double { Double.random(in: 0...most, using: &generator) }
    mutating func bytes() -> ByteCount { ByteCount(Int64.random(in: 0...(1 << 60), using: &generator)) }
    mutating func word() -> UInt64 { generator.next() }

    mutating func text() -> String {
        let letters = Array("aZ0 -_/:é日\n\"\u{0}")
        return String((0..<count(12)).map { _ in pick(letters) })
    }

    mutating func texts() -> [String] { (0..<count(3)).map { _ in text() } }

    mutating func label() -> String { "n" + String((0..<count(20)).map { _ in pick(Array("abcz019")) }) }
    mutating func node() throws -> NodeID { try NodeID(label()) }
    mutating func tenant() throws -> TenantID { try TenantID(label()) }

    mutating func workloadID() throws -> WorkloadID {
        try WorkloadID(String((0..<32).map { _ in pick(Array("0123456789abcdef")) }))
    }

    mutating func resources() -> Resources { Resources(cpus: amount(64), memory: bytes()) }

    mutating func measures() -> Measures {
        var measures = Measures()
        measures.cpu = amount(1)
        measures.memory = amount(1)
        measures.diskFree = bytes()
        measures.cpuPressure = flag() ? amount(1) : nil
        measures.memoryPressure = flag() ? 0 : nil
        measures.ioPressure = flag() ? amount(1) : nil
        measures.runningContainers = count(1000)
        measures.gatewayRTT = amount(3)
        measures.bandwidth = amount(1e9)
        measures.coreSpeed = amount(4) + 0.01
        return measures
    }

    mutating func fleetNode() throws -> Node {
        var node = Node(
            id: try node(), tenant: try tenant(), state: pick(NodeState.allCases), bootID: text(), addresses: texts(),
            tags: texts(), platform: text(), engineVersion: text(), engineAPIVersion: text(), capacity: resources(),
            reserved: resources(), measures: measures(), acceptsWork: flag())
        node.drainedSince = flag() ? amount(1e9) + 1 : nil
        node.losses = flag() ? RecentLosses(counted: amount(9) + 0.1, at: amount(1e9)) : nil
        node.opinion = flag() ? SecondOpinion(by: try self.node(), pick(SecondOpinion.Finding.allCases)) : nil
        return node
    }

    mutating func policy() throws -> Policy {
        Policy(
            kind: pick(Policy.Kind.allCases), target: flag() ? try node() : nil, tags: texts(),
            cpuThreshold: amount(1), memoryThreshold: amount(1), hysteresis: amount(1))
    }

    mutating func overrides() throws -> PolicyOverrides {
        var overrides = PolicyOverrides()
        overrides.kind = flag() ? pick(Policy.Kind.allCases) : nil
        overrides.target = flag() ? try node() : nil
        overrides.tags = flag() ? texts() : nil
        overrides.cpuThreshold = flag() ? amount(1) : nil
        overrides.memoryThreshold = flag() ? 0 : nil
        return overrides
    }

    mutating func request() throws -> WorkloadRequest {
        var request = WorkloadRequest(
            id: try workloadID(), tenant: try tenant(), origin: try node(), name: text(), image: text(),
            imageID: text(), imageSize: bytes(), workKey: text(), platform: text(), resources: resources(),
            policy: try policy(), ties: texts())
        (request.policySource, request.targetReason) = (text(), text())
        return request
    }

    mutating func candidate() throws -> Decision.Candidate {
        Decision.Candidate(
            node: try node(), score: flag() ? amount(100) : nil, refusals: texts(),
            terms: (0..<count(3)).map { _ in Decision.Term(text(), amount(1e9), text()) })
    }

    mutating func decision() throws -> Decision {
        var candidates: [Decision.Candidate] = []
        for _ in 0..<count(4) { candidates.append(try candidate()) }
        return Decision(
            workload: try workloadID(), policy: pick(Policy.Kind.allCases), target: flag() ? try node() : nil,
            reason: text(), warnings: texts(), candidates: candidates, snapshotRevision: word(),
            decidedAt: amount(2e9))
    }

    mutating func workload() throws -> Workload {
        Workload(
            id: try workloadID(), tenant: try tenant(), origin: try node(), target: try node(),
            state: pick(WorkloadState.allCases), version: Version(epoch: word(), sequence: word()),
            containerID: text(), name: text(), image: text(), resources: resources(),
            exitCode: flag() ? pick([0, 1, 137, -1, .min, .max]) : nil, error: text(), createdAt: amount(2e9),
            startedAt: amount(2e9), finishedAt: amount(2e9), workKey: text(),
            decision: flag() ? try decision() : nil)
    }
}
