import Fleet
import Testing

@testable import lighter

@Suite("What is shown of containers at a node that cannot be reached")
struct UnreachableTests {
    private func workload(_ state: WorkloadState) throws -> Workload {
        Workload(
            id: .random(), tenant: .main, origin: try NodeID("edge1"), target: try NodeID("cloud1"), state: state,
            version: Version(epoch: 1, sequence: 1), name: "web", image: "busybox")
    }

    @Test(
        "What it does is not known; that it has ended is",
        arguments: [
            (WorkloadState.running, "unreachable"), (.paused, "unreachable"), (.created, "unreachable"),
            (.pending, "pending"), (.exited, "exited"), (.removed, "removed"),
        ])
    func state(_ state: WorkloadState, shown: String) throws {
        let workload = try workload(state)
        #expect(WorkloadRow(workload, lost: [workload.target]).state == shown)
        #expect(WorkloadRow(workload, lost: [workload.origin]).state == state.rawValue)
    }

    @Test("The table and the explanation say so")
    func texts() throws {
        let workload = try workload(.running)
        #expect(Ps.table([workload], lost: [workload.target], now: 0).contains("   unreachable   "))
        #expect(Ps.table([workload], lost: [], now: 0).contains("   running   "))
        let lost = Explain.text(workload, lost: [workload.target])
        #expect(lost.hasPrefix("web (busybox) was running on cloud1, which is unreachable, asked for on edge1"))
        #expect(Explain.text(workload, lost: []).hasPrefix("web (busybox) is running on cloud1, asked for on edge1"))
    }
}
