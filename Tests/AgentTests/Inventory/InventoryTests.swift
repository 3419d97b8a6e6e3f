import DockerAPI
import Engine
import Fleet
import NIOCore
import Synchronization
import Testing

@testable import Agent

@Suite("The inventory")
@NodeLoop
struct InventoryTests {
    nonisolated static let id = String(repeating: "a1", count: 32)
    static let identity = EngineIdentity(version: [:], info: [:])

    static func event(
        _ action: String, at nanoseconds: Int64, labels: JSON = [:], _ more: [String: String] = [:], id: String = id
    ) throws -> EngineEvent {
        var attributes = labels.objectValue ?? JSONObject()
        attributes["name"] = "web.edge1"
        for (key, value) in more { attributes[key] = .string(value) }
        let json: JSON = [
            "Type": "container", "Action": .string(action), "timeNano": .int(nanoseconds),
            "Actor": ["ID": .string(id), "Attributes": .object(attributes)],
        ]
        return try EngineEvent(json.buffer)
    }

    @Test("follows a container from its events alone, and reports each state once")
    func lifecycle() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "No such container"], status: 404) }
            let labels = rig.inspection(id: Self.id)["Config"]?["Labels"] ?? .null
            let inventory = rig.inventory
            await inventory.apply(try Self.event("create", at: 1_000_000_000, labels: labels))
            await inventory.apply(try Self.event("start", at: 2_000_000_000, labels: labels))
            await inventory.apply(try Self.event("start", at: 2_000_000_000, labels: labels))
            await inventory.apply(try Self.event("pause", at: 3_000_000_000, labels: labels))
            await inventory.apply(try Self.event("unpause", at: 4_000_000_000, labels: labels))
            await inventory.apply(try Self.event("exec_start: sh", at: 4_500_000_000, labels: labels))
            await inventory.apply(try Self.event("oom", at: 4_600_000_000, labels: labels))
            await inventory.apply(try Self.event("die", at: 5_000_000_000, labels: labels, ["exitCode": "137"]))
            await inventory.apply(try Self.event("start", at: 2_000_000_000, labels: labels))
            await inventory.apply(try Self.event("destroy", at: 6_000_000_000, labels: labels))
            await inventory.apply(try Self.event("die", at: 5_500_000_000, labels: labels))
            let reports = rig.reports.list
            #expect(reports.map(\.state) == [.created, .running, .paused, .running, .running, .exited, .removed])
            #expect(reports.allSatisfy { $0.id == rig.workload && $0.version.epoch == 3 && $0.origin == rig.origin })
            let exited = try #require(reports.first { $0.state == .exited })
            #expect(exited.exitCode == 137)
            #expect(exited.error == EngineReading.outOfMemory)
            #expect(exited.startedAt == 2)
            #expect(exited.finishedAt == 5)
            #expect(inventory.index.records.isEmpty)
        }
    }

    @Test("a container that is made while the engine's list is on its way is not gone for not being in it")
    func madeMeanwhile() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "no"], status: 404) }
            rig.know(Self.id)
            rig.inventory.handlers.listing()
            let other = String(repeating: "b2", count: 32)
            rig.know(other)
            await rig.inventory.engineUp(Self.identity, [])
            #expect(rig.inventory.index[Self.id] == nil)
            #expect(rig.inventory.index[other] != nil)
        }
    }

    @Test("is rebuilt from the engine's list, and says removed only of what a full list lacks")
    func rebuild() async throws {
        try await withGuard { rig, engine in
            let inspection = rig.inspection(id: Self.id, status: "exited")
            engine.answer = { _ in .json(inspection) }
            let listed: JSON = ["Id": .string(Self.id), "Labels": ["io.lighter.workload": .string(rig.workload.hex)]]
            let foreign: JSON = ["Id": .string(String(repeating: "f", count: 64)), "Labels": [:]]
            #expect(!rig.inventory.isEngineUp)
            await rig.inventory.engineUp(Self.identity, [listed, foreign])
            #expect(rig.inventory.isEngineUp)
            #expect(engine.paths() == ["GET /containers/\(Self.id)/json"])
            #expect(rig.reports.list.map(\.state) == [.exited])
            #expect(rig.reports.list.last?.exitCode == 0)
            #expect(rig.reports.list.last?.resources == Resources(cpus: 0.5, memory: .mebibytes(1)))
            rig.inventory.handlers.down(EngineError(.closed, "gone"))
            #expect(!rig.inventory.isEngineUp)
            #expect(rig.reports.list.count == 1)
            await rig.inventory.engineUp(Self.identity, [listed])
            #expect(rig.reports.list.count == 1)
            await rig.inventory.engineUp(Self.identity, [])
            #expect(rig.reports.list.map(\.state) == [.exited, .removed])
        }
    }

    @Test("follows work of this device that it was told of, and lends it to no other node")
    func adopted() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "No such container"], status: 404) }
            let workload = Workload(
                id: rig.workload, tenant: .main, origin: rig.node, target: rig.node,
                version: Version(epoch: 1, sequence: 0),
                name: "web", resources: Resources(cpus: 1, memory: .mebibytes(5)))
            rig.inventory.adopt(containerID: Self.id, workload: workload)
            await rig.inventory.apply(try Self.event("die", at: 5_000_000_000, ["exitCode": "3"]))
            #expect(rig.reports.list.map(\.state) == [.created, .exited])
            #expect(rig.reports.list.last?.exitCode == 3)
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("GET", "/containers/web/json")?.status == 404)
        }
    }

    @Test("after a restart follows its own device's work again, and says nothing of it before the engine has")
    func remembered() async throws {
        try await withGuard { rig, engine in
            let status = Mutex("running")
            engine.answer = { _ in
                .json([
                    "Id": .string(Self.id), "Name": "/web", "Config": [:], "HostConfig": [:],
                    "State": ["Status": .string(status.withLock { $0 }), "ExitCode": 7],
                ])
            }
            var workload = Workload(
                id: rig.workload, tenant: .main, origin: rig.node, target: rig.node,
                version: Version(epoch: 1, sequence: 0), name: "web")
            workload.state = .created
            rig.inventory.remember(containerID: Self.id, workload: workload)
            #expect(rig.reports.list.isEmpty)
            let listed: JSON = ["Id": .string(Self.id), "Labels": [:]]
            await rig.inventory.engineUp(Self.identity, [listed])
            #expect(rig.reports.list.map(\.state) == [.running])
            status.withLock { $0 = "exited" }
            await rig.inventory.engineUp(Self.identity, [listed])
            #expect(rig.reports.list.map(\.state) == [.running, .exited])
            #expect(rig.reports.list.last?.exitCode == 7)
            await rig.inventory.engineUp(Self.identity, [])
            #expect(rig.reports.list.map(\.state) == [.running, .exited, .removed])
        }
    }

    @Test("one that went while the daemon was away is reported as removed")
    func rememberedAndGone() async throws {
        try await withGuard { rig, _ in
            let workload = Workload(
                id: rig.workload, tenant: .main, origin: rig.node, target: rig.node,
                version: Version(epoch: 1, sequence: 0), name: "web")
            rig.inventory.remember(containerID: Self.id, workload: workload)
            await rig.inventory.engineUp(Self.identity, [])
            #expect(rig.reports.list.map(\.state) == [.removed])
        }
    }

    @Test("takes no container for another node's by labels alone, which an image can bring")
    func labelsOfAnImage() async throws {
        try await withGuard { rig, engine in
            let inspection = rig.inspection(id: Self.id, name: "happy_darwin", status: "running")
            engine.answer = { _ in .json(inspection) }
            let listed: JSON = ["Id": .string(Self.id), "Labels": ["io.lighter.workload": .string(rig.workload.hex)]]
            await rig.inventory.engineUp(Self.identity, [listed])
            let client = try await rig.connect(ticket: rig.ticket())
            #expect(try await client.call("GET", "/containers/\(Self.id)/json")?.status == 404)
            #expect(rig.reports.list.isEmpty)
        }
    }

    @Test("gives capacity back when a container ends, and takes it at its start")
    func capacity() async throws {
        try await withGuard { rig, engine in
            engine.answer = { _ in .json(["message": "No such container"], status: 404) }
            var seen: [Resources] = []
            rig.inventory.capacityChanged = { seen.append($0) }
            rig.know(Self.id)
            await rig.inventory.apply(try Self.event("die", at: 4_000_000_000_000_000_000, ["exitCode": "0"]))
            #expect(seen == [Resources(cpus: 0.5, memory: .mebibytes(1)), .none])
        }
    }

    @Test(
        "reads the engine's times",
        arguments: [
            ("2026-01-02T03:04:05.5Z", 1_767_323_045.5), ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T12:00:00.000000001Z", 1_709_208_000.000000001),
            ("0001-01-01T00:00:00Z", nil), ("", nil), ("yesterday, at about noon", nil),
        ] as [(String, Double?)])
    func times(text: String, seconds: Double?) {
        #expect(EngineReading.seconds(.string(text)) == seconds)
    }
}
