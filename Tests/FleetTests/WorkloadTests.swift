import Fleet
import Testing

@Suite("Versions")
struct VersionTests {
    @Test("The epoch counts before the sequence")
    func order() {
        let sorted = [
            Version(epoch: 0, sequence: 0), Version(epoch: 0, sequence: .max), Version(epoch: 1, sequence: 0),
            Version(epoch: 1, sequence: 1), Version(epoch: 2, sequence: 0), Version(epoch: .max, sequence: .max),
        ]
        #expect(sorted.shuffled().sorted() == sorted)
        #expect(!(sorted[2] < sorted[2]))
        #expect(sorted[3].description == "1.1")
    }
}

@Suite("Applying updates to a workload")
struct ApplyingTests {
    /// One placement of epoch 1, then reports of it, then one of a second placement elsewhere.
    private func history() throws -> (first: Workload, updates: [WorkloadUpdate]) {
        let edge = try NodeID("edge")
        let id = WorkloadID.random()
        let decision = Decision(workload: id, policy: .remote, target: try NodeID("cloud1"), reason: "it fits")
        let first = Workload(
            id: id, tenant: .main, origin: edge, target: try NodeID("cloud1"), version: Version(epoch: 1, sequence: 0),
            name: "web", image: "busybox", createdAt: 100, workKey: "k", decision: decision)
        let states: [WorkloadState] = [.created, .running, .paused, .running, .exited]
        var updates: [WorkloadUpdate] = []
        for (index, state) in states.enumerated() {
            updates.append(
                WorkloadUpdate(
                    Workload(
                        id: id, tenant: .main, origin: edge, target: try NodeID("cloud1"), state: state,
                        version: Version(epoch: 1, sequence: UInt64(index + 1)), containerID: "c1",
                        name: index >= 2 ? "renamed" : "", exitCode: state == .exited ? 137 : nil,
                        startedAt: index == 0 ? 0 : 101)))
        }
        updates.append(
            WorkloadUpdate(
                Workload(
                    id: id, tenant: .main, origin: edge, target: try NodeID("cloud2"), state: .running,
                    version: Version(epoch: 2, sequence: 1), containerID: "c2", name: "renamed", startedAt: 200)))
        return (first, updates)
    }

    @Test("The newest version wins in any order, with any number of copies", arguments: 0..<200)
    func orderFree(round: Int) throws {
        let (first, updates) = try history()
        let newest = try #require(updates.last).workload
        // The last update always arrives, the others may be lost or repeated.
        let arriving =
            (updates.dropLast().flatMap { Array(repeating: $0, count: Int.random(in: 0...3)) } + [
                updates[5], updates[5],
            ])
            .shuffled()
        var workload = first
        for update in arriving {
            let before = workload.version
            if let next = workload.applying(update) {
                #expect(next.version > before)
                workload = next
            }
        }
        #expect(workload.version == newest.version)
        #expect(workload.state == .running)
        #expect(workload.target == newest.target)
        #expect(workload.containerID == "c2")
        #expect(workload.exitCode == nil)
        #expect(workload.decision == first.decision)
        #expect((workload.image, workload.workKey, workload.createdAt) == ("busybox", "k", 100))
    }

    @Test("Any order and any number of copies of all updates end in the same workload", arguments: 0..<200)
    func converges(round: Int) throws {
        let (first, updates) = try history()
        func end(_ updates: [WorkloadUpdate]) -> Workload {
            updates.reduce(first) { $0.applying($1) ?? $0 }
        }
        let mixed = (updates + updates.filter { _ in Bool.random() }).shuffled()
        #expect(end(mixed) == end(updates))
    }

    @Test("An equal or older version changes nothing")
    func notNewer() throws {
        let (first, updates) = try history()
        let applied = try #require(first.applying(updates[3]))
        for update in updates[...3] { #expect(applied.applying(update) == nil) }
    }

    @Test("No report changes whose a workload is")
    func ownership() throws {
        let (first, updates) = try history()
        var stolen = updates[5].workload
        stolen.tenant = try TenantID("other")
        stolen.origin = try NodeID("cloud9")
        let applied = try #require(first.applying(WorkloadUpdate(stolen)))
        #expect(applied.tenant == first.tenant)
        #expect(applied.origin == first.origin)
    }

    @Test("Another workload's update changes nothing")
    func otherWorkload() throws {
        let (first, updates) = try history()
        var other = updates[5].workload
        other.id = WorkloadID.random()
        #expect(first.applying(WorkloadUpdate(other)) == nil)
    }
}

@Suite("States of a workload")
struct WorkloadStateTests {
    @Test(
        "Each state allows what can follow it, also by several steps",
        arguments: [
            (WorkloadState.pending, Set(WorkloadState.allCases)),
            (.created, [.created, .running, .paused, .exited, .removed]),
            (.running, [.running, .paused, .exited, .removed]),
            (.paused, [.running, .paused, .exited, .removed]),
            (.exited, [.running, .paused, .exited, .removed]),
            (.removed, [.removed]),
        ] as [(WorkloadState, Set<WorkloadState>)])
    func table(from: WorkloadState, allowed: Set<WorkloadState>) {
        #expect(Set(WorkloadState.allCases.filter(from.allows)) == allowed)
    }

    @Test("Capacity is held from the lease to the exit")
    func capacity() {
        #expect(Set(WorkloadState.allCases.filter(\.holdsCapacity)) == [.pending, .created, .running, .paused])
    }
}
