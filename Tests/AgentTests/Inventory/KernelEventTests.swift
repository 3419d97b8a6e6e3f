import DockerAPI
import Engine
import Fleet
import Testing

@testable import Agent

@Suite("What the kernel tells of containers")
@NodeLoop
struct KernelEventTests {
    private nonisolated static let id = InventoryTests.id
    /// When the kernel's ends are told to be: after the rig's container was made.
    private static let end = 2_000_000_000.0

    private static func nano(_ seconds: Double) -> Int64 { Int64(seconds * 1e9) }

    private func running(_ rig: GuardRig) async throws {
        rig.know(Self.id)
        await rig.inventory.apply(try InventoryTests.event("start", at: Self.nano(Self.end - 10)))
    }

    @Test("an end with its code is reported at once, and the engine's own word of it changes nothing")
    func endWithCode() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "no"], status: 404) }
            try await running(rig)
            var capacity: [Resources] = []
            rig.inventory.capacityChanged = { capacity.append($0) }
            rig.inventory.ended(Self.id, 42, at: Self.end, code: 3)
            #expect(rig.reports.list.map(\.state) == [.created, .running, .exited])
            #expect(rig.reports.list.last?.exitCode == 3)
            #expect(rig.reports.list.last?.finishedAt == Self.end)
            #expect(capacity == [.none])
            #expect(await rig.inventory.exitCodes.code(of: Self.id) == 3)
            await rig.inventory.apply(
                try InventoryTests.event("die", at: Self.nano(Self.end + 0.04), ["exitCode": "3"]))
            #expect(rig.reports.list.count == 3)
        }
    }

    @Test("an end without a code is reported without one, never as success, until the engine says the code")
    func endWithoutCode() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "no"], status: 404) }
            try await running(rig)
            rig.inventory.ended(Self.id, 42, at: Self.end, code: nil)
            let ending = try #require(rig.reports.list.last)
            #expect(ending.state == .exited)
            #expect(ending.exitCode == nil)
            #expect(rig.inventory.index.reserved == .none)
            await rig.inventory.apply(
                try InventoryTests.event("die", at: Self.nano(Self.end + 0.04), ["exitCode": "7"]))
            #expect(rig.reports.list.map(\.exitCode) == [nil, nil, nil, 7])
            #expect(rig.reports.list.last?.finishedAt == Self.end)
        }
    }

    @Test("where the engine says another code than the kernel, the engine's counts")
    func disagreement() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "no"], status: 404) }
            try await running(rig)
            rig.inventory.ended(Self.id, 42, at: Self.end, code: 1)
            await rig.inventory.apply(
                try InventoryTests.event("die", at: Self.nano(Self.end + 0.04), ["exitCode": "2"]))
            #expect(rig.reports.list.map(\.exitCode).suffix(2) == [1, 2])
        }
    }

    @Test("an engine that still shows the ended process, or tells late of its start, does not bring it back")
    func staleEngine() async throws {
        try await withGuard { rig, engine in
            var inspection = rig.inspection(id: Self.id, status: "running")
            inspection["State"] = ["Status": "running", "Pid": 42, "ExitCode": 0, "StartedAt": "2026-01-02T03:04:06Z"]
            let answer = inspection
            engine.answer = { _ in .json(answer) }
            try await running(rig)
            rig.inventory.ended(Self.id, 42, at: Self.end, code: 0)
            await rig.inventory.refresh(Self.id)
            await rig.inventory.apply(try InventoryTests.event("start", at: Self.nano(Self.end - 9)))
            #expect(rig.inventory.index[Self.id]?.workload.state == .exited)
            #expect(rig.inventory.index.reserved == .none)
            await rig.inventory.apply(try InventoryTests.event("start", at: Self.nano(Self.end + 1)))
            #expect(rig.inventory.index[Self.id]?.workload.state == .running)
            #expect(rig.inventory.index[Self.id]?.workload.exitCode == nil)
        }
    }

    @Test("a kill for want of memory stands with the workload, whatever the engine says later, until the next start")
    func outOfMemory() async throws {
        try await withGuard { rig, engine in
            let inspection = rig.inspection(id: Self.id, status: "exited")
            engine.answer = { _ in .json(inspection) }
            try await running(rig)
            rig.inventory.outOfMemory(Self.id)
            #expect(rig.reports.list.last?.state == .running)
            #expect(rig.reports.list.last?.error == EngineReading.outOfMemory)
            rig.inventory.ended(Self.id, 42, at: Self.end, code: 137)
            await rig.inventory.refresh(Self.id)
            #expect(rig.reports.list.last?.state == .exited)
            #expect(rig.reports.list.last?.error == EngineReading.outOfMemory)
            await rig.inventory.apply(try InventoryTests.event("start", at: Self.nano(Self.end + 1)))
            #expect(rig.reports.list.last?.error == "")
        }
    }

    @Test("the engine's event of a kill counts though it comes after the kernel's end")
    func lateKill() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "no"], status: 404) }
            try await running(rig)
            rig.inventory.ended(Self.id, 42, at: Self.end, code: 137)
            await rig.inventory.apply(try InventoryTests.event("oom", at: Self.nano(Self.end - 0.01)))
            #expect(rig.reports.list.last?.error == EngineReading.outOfMemory)
            #expect(rig.reports.list.last?.state == .exited)
        }
    }

    @Test(
        "only the exit of a runtime that runs the container's own process says its code",
        arguments: [
            ("runc", nil, true), ("io.containerd.runc.v2", nil, true), ("oci", "/usr/bin/crun", true),
            ("oci", "kata", false), ("kata-runtime", nil, false), ("", nil, false),
        ] as [(String, String?, Bool)])
    func runtimes(name: String, oci: String?, isOwn: Bool) {
        var inspection: JSON = ["HostConfig": ["Runtime": .string(name)]]
        if let oci { inspection["OCIRuntime"] = .string(oci) }
        #expect(EngineReading.runsItsProcess(inspect: inspection) == isOwn)
    }

    @Test(
        "the memory group is the one with the container's id, in either version",
        arguments: [
            (
                "5:memory:/docker/\(id)\n0::/\n",
                "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0",
                MemoryGroup(folder: "/sys/fs/cgroup/memory/docker/\(id)", isUnified: false)
            ),
            (
                "0::/machine.slice/libpod-\(id).scope/container\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0",
                MemoryGroup(folder: "/sys/fs/cgroup/machine.slice/libpod-\(id).scope", isUnified: true)
            ),
            ("0::/user.slice\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", nil),
            ("5:memory:/docker/\(id)\n", "proc /proc proc rw 0 0", nil),
        ] as [(String, String, MemoryGroup?)])
    func memoryGroups(groups: String, mounts: String, group: MemoryGroup?) {
        #expect(ContainerGroup.memory(of: Self.id, processGroups: groups, mounts: mounts) == group)
    }
}
