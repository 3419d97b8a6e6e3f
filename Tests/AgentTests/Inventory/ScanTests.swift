import DockerAPI
import Engine
import Fleet
import Synchronization
import Testing

@testable import Agent

@Suite("The scan of the engine's whole list")
@NodeLoop
struct ScanTests {
    private nonisolated static let id = InventoryTests.id

    private static func listed(_ state: String, name: String = "web.edge1", labels: JSON = [:]) -> JSON {
        [
            "Id": .string(id), "State": .string(state), "Names": .array([.string("/\(name)")]), "Labels": labels,
        ]
    }

    /// An engine with this list and this inspection, whose events are lost.
    private func withEngine(
        list: [JSON], status: String, name: String = "web.edge1",
        _ body: @NodeLoop (GuardRig, @NodeLoop () -> [String]) async throws -> Void
    ) async throws {
        try await withGuard { rig, engine in
            let inspection = rig.inspection(id: Self.id, name: name, status: status)
            engine.answer = { request in
                request.head.routePath == "/containers/json" ? .json(.array(list)) : .json(inspection)
            }
            await rig.inventory.engineUp(InventoryTests.identity, [])
            rig.know(Self.id)
            try await body(rig) { engine.paths() }
        }
    }

    @Test("finds nothing where all is as known, and asks for the list alone")
    func agreement() async throws {
        try await withEngine(list: [Self.listed("created")], status: "created") { rig, asked in
            await rig.inventory.scan()
            #expect(asked() == ["GET /containers/json"])
            #expect(rig.reports.list.map(\.state) == [.created])
        }
    }

    @Test("takes over an end that no event told")
    func ended() async throws {
        try await withEngine(list: [Self.listed("exited")], status: "exited") { rig, _ in
            await rig.inventory.scan()
            #expect(rig.reports.list.map(\.state) == [.created, .exited])
            #expect(rig.reports.list.last?.exitCode == 0)
            #expect(rig.inventory.index.reserved == .none)
        }
    }

    @Test("takes over a name that no event told")
    func renamed() async throws {
        try await withEngine(list: [Self.listed("created", name: "new.edge1")], status: "created", name: "new.edge1") {
            rig, _ in
            await rig.inventory.scan()
            #expect(rig.reports.list.map(\.name) == ["web", "new"])
        }
    }

    @Test("says removed of what is not listed any more")
    func removed() async throws {
        try await withEngine(list: [], status: "created") { rig, _ in
            await rig.inventory.scan()
            #expect(rig.reports.list.map(\.state) == [.created, .removed])
            #expect(rig.inventory.index.records.isEmpty)
        }
    }

    @Test("finds a container that no event told of")
    func unknown() async throws {
        try await withGuard { rig, engine in
            let inspection = rig.inspection(id: Self.id, status: "exited")
            let list = [Self.listed("exited", labels: inspection["Config"]?["Labels"] ?? .null)]
            engine.answer = { request in
                request.head.routePath == "/containers/json" ? .json(.array(list)) : .json(inspection)
            }
            await rig.inventory.engineUp(InventoryTests.identity, [])
            await rig.inventory.scan()
            #expect(rig.reports.list.map(\.state) == [.exited])
        }
    }

    @Test("asks for the code of an end that was told without one")
    func missingCode() async throws {
        try await withEngine(list: [Self.listed("exited")], status: "exited") { rig, _ in
            rig.inventory.ended(Self.id, 42, at: 2_000_000_000, code: nil)
            #expect(rig.reports.list.last?.exitCode == nil)
            await rig.inventory.scan()
            #expect(rig.reports.list.last?.state == .exited)
            #expect(rig.reports.list.last?.exitCode == 0)
        }
    }

    @Test("believes no list of an engine that is down, and none that cannot be had")
    func down() async throws {
        try await withGuard { rig, engine in
            rig.know(Self.id)
            engine.answer = { _ in .json([]) }
            await rig.inventory.scan()
            #expect(rig.inventory.index[Self.id] != nil)
            rig.inventory.handlers.listing()
            engine.answer = { _ in .json(["message": "no"], status: 500) }
            await rig.inventory.engineUp(InventoryTests.identity, [["Id": .string(Self.id), "Labels": [:]]])
            await rig.inventory.scan()
            #expect(rig.inventory.index[Self.id] != nil)
            #expect(rig.reports.list.map(\.state) == [.created], "a refused inspection says nothing of the container")
        }
    }
}
