import Fleet
import Session
import Synchronization
import Testing

@testable import Gateway

@Suite("What a session tells of leases")
struct LeaseTellingTests {
    /// Writes down what it is told; its leases have run out until they are confirmed.
    private final class Holder: LeaseHolder {
        let isIdle = false
        enum Told: Equatable {
            case renewed, marked, confirmed, retired(WorkloadID, UInt64)
        }

        private let state = Mutex((told: [Told](), lapses: UInt64(3), isLapsed: true))

        var told: [Told] { state.withLock { $0.told } }
        var awaitsConfirmation: Bool { state.withLock { $0.isLapsed } }

        func renew(sentAt: UInt64, term: Duration) {
            #expect(sentAt <= BootClock.now() && term > .zero)
            state.withLock { $0.told.append(.renewed) }
        }

        func mark() -> LeaseMark {
            state.withLock { state in
                state.told.append(.marked)
                return LeaseMark(gateway: state.lapses, origins: [:])
            }
        }

        func confirm(_ mark: LeaseMark) {
            state.withLock { state in
                state.told.append(.confirmed)
                if mark.gateway == state.lapses { state.isLapsed = false }
            }
        }

        func retire(_ workload: WorkloadID, epoch: UInt64, reason: String) {
            state.withLock { $0.told.append(.retired(workload, epoch)) }
        }

        func lapse() {
            state.withLock { state in
                state.lapses += 1
                state.isLapsed = true
                state.told = []
            }
        }
    }

    @Test(
        "Leases that have run out are confirmed by a whole report from behind a heartbeat's answer, and by none before")
    func confirmed() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let holder = Holder()
                let cloud = try scene.node("cloud", of: [gateway], leases: holder)
                try await scene.running(cloud) {
                    try await eventually("heartbeats are answered") { holder.told.count > 2 }
                    // As long as the node does not know all that it has, it cannot report it.
                    #expect(holder.told.allSatisfy { $0 == .renewed })
                    cloud.inventoryIsComplete()
                    try await eventually("it is confirmed") { !holder.awaitsConfirmation }
                    let order = holder.told.filter { $0 != .renewed }
                    #expect(order == [.marked, .confirmed])
                    holder.lapse()
                    try await eventually("it is confirmed again") { !holder.awaitsConfirmation }
                    #expect(holder.told.first == .renewed)
                }
            }
        }
    }

    @Test("What is over is taken away before the rest is confirmed")
    func retired() async throws {
        try await Scene.with { scene in
            try await scene.withGateway { gateway in
                let holder = Holder()
                let edge = try scene.node("edge", of: gateway)
                let cloud = try scene.node("cloud", of: [gateway], leases: holder)
                try await scene.running(edge, cloud) {
                    try await eventually("the device knows the node") {
                        edge.snapshot[try NodeID("cloud")]?.state == .ready
                    }
                    let request = WorkloadRequest(
                        id: .random(), tenant: edge.tenant, origin: edge.node, image: "busybox",
                        resources: Resources(cpus: 1, memory: .mebibytes(64)), policy: Policy(kind: .remote))
                    let placed = try await edge.place(request, refused: [:])
                    var stale = try Workload.sample(request.id, at: "cloud", epoch: placed.epoch - 1)
                    stale.origin = edge.node
                    cloud.report(stale)
                    cloud.inventoryIsComplete()
                    try await eventually("it is confirmed") { !holder.awaitsConfirmation }
                    let told = holder.told
                    let retired = try #require(told.firstIndex(of: .retired(request.id, placed.epoch - 1)))
                    #expect(retired < (try #require(told.firstIndex(of: .confirmed))))
                }
            }
        }
    }
}
