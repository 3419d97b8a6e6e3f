import DockerAPI
import Engine
import Fleet
import Glibc
import Testing

@testable import Agent

@Suite("What the kernel tells of starts")
@NodeLoop
struct KernelStartTests {
    private nonisolated static let id = InventoryTests.id
    /// When the kernel tells of the start: after the rig's container was made, and not long ago.
    private nonisolated static let begin = Double(time(nil))
    private nonisolated static let start = StartWatch.Start(containerID: id, pid: .max, time: begin)

    private static func nano(_ seconds: Double) -> Int64 { Int64((begin + seconds) * 1e9) }

    /// With a container that is made, and whose inspection shows nothing else.
    private func made(_ body: (GuardRig) async throws -> Void) async throws {
        try await withGuard { rig, engine in
            let inspection = rig.inspection(id: Self.id, status: "created")
            engine.answer = { _ in .json(inspection) }
            rig.know(Self.id)
            try await body(rig)
        }
    }

    @Test("a start is reported at once, with its capacity, and the engine's own word of it changes nothing")
    func start() async throws {
        try await made { rig in
            rig.inventory.started(Self.start)
            #expect(rig.reports.list.map(\.state) == [.created, .running])
            #expect(rig.reports.list.last?.startedAt == Self.begin)
            await rig.inventory.apply(try InventoryTests.event("start", at: Self.nano(0.02)))
            #expect(rig.reports.list.count == 2)
            await rig.inventory.apply(try InventoryTests.event("die", at: Self.nano(1), ["exitCode": "4"]))
            #expect(rig.reports.list.last?.state == .exited)
            #expect(rig.reports.list.last?.exitCode == 4)
        }
    }

    @Test("a further execution by the same process is no other start")
    func again() async throws {
        try await made { rig in
            rig.inventory.started(Self.start)
            rig.inventory.started(StartWatch.Start(containerID: Self.id, pid: .max, time: Self.begin + 0.01))
            rig.inventory.ended(Self.id, .max, at: Self.begin + 0.02, code: 0)
            rig.inventory.started(StartWatch.Start(containerID: Self.id, pid: .max, time: Self.begin + 0.03))
            #expect(rig.reports.list.map(\.state) == [.created, .running, .exited])
        }
    }

    @Test("an engine that tells of the start after the kernel has told of the end does not bring the run back")
    func shortRun() async throws {
        try await made { rig in
            rig.inventory.started(Self.start)
            rig.inventory.ended(Self.id, .max, at: Self.begin + 0.001, code: 3)
            await rig.inventory.apply(try InventoryTests.event("start", at: Self.nano(0.02)))
            #expect(rig.inventory.index[Self.id]?.workload.state == .exited)
            #expect(rig.inventory.exitCodes.known(Self.id) == 3)
            await rig.inventory.apply(try InventoryTests.event("die", at: Self.nano(0.03), ["exitCode": "3"]))
            #expect(rig.reports.list.map(\.state) == [.created, .running, .exited])
            rig.inventory.started(StartWatch.Start(containerID: Self.id, pid: .max - 1, time: Self.begin + 1))
            #expect(rig.reports.list.last?.state == .running)
            #expect(rig.reports.list.last?.exitCode == nil)
        }
    }

    @Test("news of a start that comes after the engine's of the end changes nothing")
    func late() async throws {
        try await made { rig in
            await rig.inventory.apply(try InventoryTests.event("start", at: Self.nano(0.02)))
            await rig.inventory.apply(try InventoryTests.event("die", at: Self.nano(0.03), ["exitCode": "0"]))
            rig.inventory.started(Self.start)
            #expect(rig.reports.list.map(\.state) == [.created, .running, .exited])
        }
    }

    @Test("an inspection that is behind the kernel is passed over, but not for ever")
    func behind() async throws {
        try await made { rig in
            rig.inventory.started(Self.start)
            rig.inventory.ended(Self.id, .max, at: Self.begin, code: nil)
            await rig.inventory.refresh(Self.id)
            #expect(rig.inventory.index[Self.id]?.workload.state == .exited)
        }
        try await made { rig in
            rig.inventory.started(StartWatch.Start(containerID: Self.id, pid: .max, time: Self.begin - 60))
            rig.inventory.ended(Self.id, .max, at: Self.begin - 59, code: nil)
            await rig.inventory.refresh(Self.id)
            #expect(rig.inventory.index[Self.id]?.workload.state == .created)
        }
    }

    @Test("the kernel's time of a start stays when the engine is asked")
    func timeStays() async throws {
        try await withGuard { rig, engine in
            var inspection = rig.inspection(id: Self.id, status: "running")
            inspection["State"] = [
                "Status": "running", "Pid": .number("\(Int32.max)"), "StartedAt": "2099-01-02T03:04:06Z",
            ]
            let answer = inspection
            engine.answer = { _ in .json(answer) }
            rig.know(Self.id)
            rig.inventory.started(Self.start)
            await rig.inventory.refresh(Self.id)
            #expect(rig.inventory.index[Self.id]?.workload.startedAt == Self.begin)
            #expect(rig.reports.list.map(\.state) == [.created, .running])
        }
    }

    @Test("a container that is not known here is passed over")
    func unknown() async throws {
        try await made { rig in
            rig.inventory.started(
                StartWatch.Start(containerID: String(repeating: "f", count: 64), pid: .max, time: Self.begin))
            #expect(rig.reports.list.map(\.state) == [.created])
        }
    }

    @Test("which source was first is counted, and what is switched off is said")
    func sources() async throws {
        try await made { rig in
            rig.inventory.started(Self.start)
            await rig.inventory.apply(try InventoryTests.event("start", at: Self.nano(0.02)))
            rig.inventory.outOfMemory(Self.id)
            rig.inventory.ended(Self.id, .max, at: Self.begin + 1, code: nil)
            await rig.inventory.apply(try InventoryTests.event("die", at: Self.nano(1.1), ["exitCode": "137"]))
            rig.inventory.sources[.pidfd] = .refused("no")
            let told = rig.inventory.sources.json.arrayValue ?? []
            #expect(told.map { $0["Source"]?.stringValue } == ["pidfd", "cgroup", "ebpf", "engine"])
            #expect(told.map { $0["Told"]?.intValue } == [1, 1, 1, 1])
            #expect(told.map { $0["State"]?.stringValue } == ["refused", "used", "off", "used"])
            #expect(told.map { $0["Reason"]?.stringValue } == ["no", "", "", ""])
        }
    }
}
