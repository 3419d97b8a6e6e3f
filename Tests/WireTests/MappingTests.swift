import Fleet
import SwiftProtobuf
import Testing

@testable import Wire

/// What a message says after its journey as bytes.
private func sent<M: Message>(_ message: M) throws -> M {
    try M(serializedBytes: message.serializedBytes() as [UInt8])
}

@Suite("Mapping between messages and nouns")
struct MappingTests {
    @Test("Every noun comes back as it was sent", arguments: UInt64(1)...200)
    func roundTrip(seed: UInt64) throws {
        var draw = RandomNouns(seed: seed)
        let node = try draw.fleetNode()
        #expect(try sent(Lighter_V1_NodeMessage(node)).domain() == node)
        let policy = try draw.policy()
        #expect(try sent(Lighter_V1_PolicyMessage(policy)).domain() == policy)
        let overrides = try draw.overrides()
        #expect(try sent(Lighter_V1_PolicyOverridesMessage(overrides)).domain() == overrides)
        let decision = try draw.decision()
        #expect(try sent(Lighter_V1_DecisionMessage(decision)).domain() == decision)
        let workload = try draw.workload()
        #expect(try sent(Lighter_V1_WorkloadMessage(workload)).domain() == workload)
        let request = try draw.request()
        // Two draws may be of one name.
        let refused = Dictionary(
            [(try draw.node(), draw.text()), (try draw.node(), draw.text())], uniquingKeysWith: { first, _ in first })
        let row = DrainedWorkload(
            id: request.id, name: draw.text(), origin: try draw.node(),
            standing: draw.pick(DrainedWorkload.Standing.allCases), reason: draw.text())
        #expect(try sent(Lighter_V1_DrainRow(row)).domain() == row)
        let placed = try sent(Lighter_V1_PlaceRequest(request, refused: refused)).domain()
        #expect(placed.request == request)
        #expect(placed.refused == refused)
    }

    @Test("A source that says 'no tags' is told from one that is silent")
    func emptyTags() throws {
        var overrides = PolicyOverrides()
        #expect(try sent(Lighter_V1_PolicyOverridesMessage(overrides)).domain().tags == nil)
        overrides.tags = []
        #expect(try sent(Lighter_V1_PolicyOverridesMessage(overrides)).domain().tags == [])
    }

    @Test("A node state of a newer version reads as unreachable, so that nothing is placed there")
    func unknownNodeState() throws {
        var message = Lighter_V1_NodeMessage(Node(id: try NodeID("a")))
        message.state = "draining"
        #expect(try message.domain().state == .unreachable)
    }

    @Test("A workload state of a newer version is an error that names it")
    func unknownWorkloadState() throws {
        var draw = RandomNouns(seed: 1)
        var message = Lighter_V1_WorkloadMessage(try draw.workload())
        message.state = "frozen"
        let error = #expect(throws: WireError.self) { try message.domain() }
        #expect(error?.code == .unknownWord)
        #expect(error?.message.contains("frozen") == true)
    }

    @Test("A policy of a newer version is an error in a request, and silence in a source")
    func unknownPolicy() throws {
        var request = Lighter_V1_PolicyMessage(Policy())
        request.kind = "cheapest"
        #expect(#expect(throws: WireError.self) { try request.domain() }?.code == .unknownWord)
        var source = Lighter_V1_PolicyOverridesMessage()
        source.kind = "cheapest"
        #expect(try source.domain().kind == nil)
    }

    @Test("A decision that cannot be read does not cost its workload")
    func unreadableDecision() throws {
        var draw = RandomNouns(seed: 2)
        var workload = try draw.workload()
        workload.decision = try draw.decision()
        var message = Lighter_V1_WorkloadMessage(workload)
        message.decision.policy = "cheapest"
        workload.decision = nil
        #expect(try message.domain() == workload)
    }

    @Test(
        "Numbers that would poison arithmetic are refused by field",
        arguments: [Double.nan, .infinity, -.infinity, -1, 1e300])
    func badNumbers(number: Double) throws {
        var draw = RandomNouns(seed: 3)
        var message = Lighter_V1_NodeMessage(try draw.fleetNode())
        message.capacityCpus = number
        let error = #expect(throws: WireError.self) { try message.domain() }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains("capacity_cpus") == true)
    }

    @Test("Byte counts outside 0 to 1 EiB are refused", arguments: [Int64.min, -1, (1 << 60) + 1, .max])
    func badBytes(number: Int64) throws {
        var draw = RandomNouns(seed: 4)
        var message = Lighter_V1_NodeMessage(try draw.fleetNode())
        message.reservedMemory = number
        #expect(#expect(throws: WireError.self) { try message.domain() }?.code == .invalid)
    }

    @Test(
        "Names that are not names are refused",
        arguments: ["", "UPPER", "a/b", "-a", String(repeating: "a", count: 64)])
    func badNames(name: String) throws {
        var message = Lighter_V1_NodeMessage(Node(id: try NodeID("a")))
        message.id = name
        #expect(#expect(throws: WireError.self) { try message.domain() }?.message.contains("node.id") == true)
    }

    @Test(
        "Random bytes as any message never trap and never yield a noun with impossible numbers",
        arguments: UInt64(1)...50)
    func fuzz(seed: UInt64) throws {
        var draw = RandomNouns(seed: seed)
        for _ in 0..<40 {
            var bytes: [UInt8] = try Lighter_V1_WorkloadMessage(draw.workload()).serializedBytes()
            for _ in 0...draw.count(4) where !bytes.isEmpty {
                bytes[draw.count(bytes.count - 1)] = UInt8(truncatingIfNeeded: draw.word())
            }
            if let workload = try? Lighter_V1_WorkloadMessage(serializedBytes: bytes).domain() {
                #expect(workload.resources.cpus.isFinite && workload.resources.memory >= .zero)
            }
            if let node = try? Lighter_V1_NodeMessage(serializedBytes: bytes).domain() {
                #expect(node.capacity.cpus.isFinite && (0...1).contains(node.measures.cpu))
            }
        }
    }
}

@Suite("Pushing the fleet")
struct FleetPushTests {
    private func node(_ name: String, cpu: Double = 0) throws -> Node {
        var node = Node(id: try NodeID(name))
        node.measures.cpu = cpu
        return node
    }

    @Test("The difference between two snapshots turns one into the other")
    func difference() throws {
        let old = FleetSnapshot(revision: 4, nodes: [try node("a"), try node("b"), try node("c")])
        let new = FleetSnapshot(revision: 9, nodes: [try node("a"), try node("c", cpu: 0.5), try node("d")])
        let push = try sent(Lighter_V1_FleetPush(from: old, to: new))
        #expect(push.nodes.map(\.id) == ["c", "d"])
        #expect(push.removed == ["b"])
        #expect(push.applied(to: old) == new)
        #expect(push.applied(to: new) == nil)
    }

    @Test("A full push replaces everything, even from an earlier revision")
    func full() throws {
        let old = FleetSnapshot(revision: 40, nodes: [try node("a"), try node("b")])
        let new = FleetSnapshot(revision: 1, nodes: [try node("c")])
        #expect(try sent(Lighter_V1_FleetPush(full: new)).applied(to: old) == new)
    }

    @Test("A node that cannot be read is left out, and the others stay")
    func unreadable() throws {
        let old = FleetSnapshot(revision: 1, nodes: [try node("a"), try node("b")])
        var push = Lighter_V1_FleetPush(
            from: old, to: FleetSnapshot(revision: 2, nodes: [try node("a", cpu: 1), try node("b")]))
        push.nodes[0].capacityCpus = .nan
        #expect(push.applied(to: old)?.nodes.map(\.id.name) == ["b"])
    }
}
