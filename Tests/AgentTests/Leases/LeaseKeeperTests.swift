import DockerAPI
import Engine
import Fleet
import NIOCore
import Testing

@testable import Agent

@Suite("Keeping leases of exclusive work")
@NodeLoop
struct LeaseKeeperTests {
    private nonisolated static let id = LeaseRig.container

    @Test("work runs for as long as heartbeats come back, and then its gate goes before it is killed")
    func lapse() async throws {
        try await withLeases { leases, _ in
            leases.confirm()
            try await leases.run()
            #expect(leases.gates == 1)
            for _ in 0..<5 {
                leases.world.now += 900
                leases.beat()
            }
            #expect(leases.world.kills.isEmpty)
            leases.lapse()
            #expect(leases.world.kills.first == .init(containers: [Self.id], gates: 0))
            #expect(leases.keeper.table.entries.first?.isFenced == true)
        }
    }

    @Test("an acknowledgement that comes too late does not hide that the lease had run out")
    func late() async throws {
        try await withLeases { leases, _ in
            leases.confirm()
            try await leases.run()
            let sentAt = leases.world.nanoseconds + 500_000_000_000
            leases.world.now += 1200
            leases.keeper.renew(sentAt: sentAt, term: LeaseRig.term)
            #expect(leases.world.kills.first == .init(containers: [Self.id], gates: 0))
            #expect(leases.keeper.awaitsConfirmation)
        }
    }

    @Test("what the fence has stopped first is a lapse to lighterd, too")
    func fenced() async throws {
        try await withLeases { leases, _ in
            leases.confirm()
            try await leases.run()
            #expect(leases.keeper.table.fence(try #require(leases.keeper.table.entries.first)))
            leases.beat()
            #expect(leases.keeper.awaitsConfirmation)
            #expect(leases.world.kills.first?.containers == [Self.id])
        }
    }

    @Test("an end by the lapse is reported as a pause, and the container runs again when the gateway has confirmed it")
    func again() async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            try await leases.run()
            leases.lapse()
            leases.die()
            #expect(leases.rig.reports.list.last?.state == .paused)
            #expect(leases.rig.reports.list.last?.exitCode == nil)
            engine.answer = { call in
                switch "\(call.head.method) \(call.head.routePath)" {
                case "POST /containers/\(Self.id)/start": .json([:], status: 204)
                default: .json(leases.inspection(status: "running"))
                }
            }
            // Heartbeats alone bring nothing back.
            leases.world.now += 100
            leases.beat()
            #expect(engine.orders.isEmpty)
            leases.confirm()
            #expect(leases.gates == 1)
            await leases.keeper.endOfSuspension(of: Self.id)
            #expect(engine.orders == ["POST /containers/\(Self.id)/start"])
            #expect(leases.rig.reports.list.last?.state == .running)
        }
    }

    @Test("what ended by itself is not run again", arguments: [Int32(0), 3])
    func ownEnd(code: Int32) async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            try await leases.run()
            leases.lapse()
            leases.die(code: code)
            #expect(leases.rig.reports.list.last?.state == .exited)
            #expect(leases.rig.reports.list.last?.exitCode == code)
            leases.confirm()
            #expect(engine.orders.isEmpty)
            #expect(!leases.keeper.running.contains(Self.id))
        }
    }

    @Test("a daemon that starts anew in time stops nothing, and one that is late stops what is due")
    func restart() async throws {
        try await withLeases { leases, _ in
            leases.confirm()
            try await leases.run()
            leases.world.now += 500
            try leases.restart()
            #expect(leases.keeper.stands(leases.rig.origin))
            #expect(leases.gates == 1)
            try leases.restart()
            leases.world.now += 499
            #expect(leases.keeper.stands(leases.rig.origin))
            leases.world.now += 1
            #expect(!leases.keeper.stands(leases.rig.origin))
            #expect(leases.world.kills.first == .init(containers: [Self.id], gates: 0))
        }
    }

    @Test("after a boot nothing runs before the gateway has confirmed it; then what ran when the power went does")
    func boot() async throws {
        try await withLeases(boot: "two", running: [Self.id]) { leases, engine in
            engine.answer = { _ in .json(leases.inspection(status: "exited", exitCode: 255)) }
            await leases.rig.inventory.engineUp(InventoryTests.identity, [leases.inspection(status: "exited")].listed)
            leases.keeper.engineIsListed()
            #expect(leases.rig.reports.list.last?.state == .paused)
            #expect(leases.gates == 0)
            engine.answer = { call in
                call.head.method == "POST" ? .json([:], status: 204) : .json(leases.inspection(status: "running"))
            }
            leases.confirm()
            await engine.waitForPath("POST /containers/\(Self.id)/start")
            #expect(leases.gates == 1)
        }
    }

    @Test("after a boot the engine's own vain start is made up for, whatever ran before")
    func bootByPolicy() async throws {
        try await withLeases(boot: "two") { leases, engine in
            let error = "error mounting \"/run/x\" to rootfs at \"/dev/.lighter-lease\": no such file or directory"
            engine.answer = { _ in .json(leases.inspection(status: "exited", exitCode: 127, error: error)) }
            await leases.rig.inventory.engineUp(InventoryTests.identity, [leases.inspection(status: "exited")].listed)
            #expect(leases.rig.reports.list.last?.state == .paused)
            leases.confirm()
            await engine.waitForPath("POST /containers/\(Self.id)/start")
        }
    }

    @Test("what runs without a lease is stopped as soon as it is seen")
    func unleased() async throws {
        try await withLeases { leases, _ in
            try await leases.run()
            #expect(leases.world.kills.first == .init(containers: [Self.id], gates: 0))
        }
    }

    @Test("what the gateway takes away is stopped and removed with its volumes, and its tickets are over")
    func retire() async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            try await leases.run()
            leases.lapse()
            leases.die()
            leases.world.now += 10
            leases.beat()
            leases.keeper.retire(leases.rig.workload, epoch: 3, reason: "it runs on cloud2 now")
            leases.keeper.confirm(leases.keeper.mark())
            // Confirmed is what was not taken away.
            #expect(leases.gates == 0)
            await engine.waitForPath("DELETE /containers/\(Self.id)")
            #expect(engine.calls.last?.head.target == "/containers/\(Self.id)?force=1&v=1")
            let client = try await leases.rig.connect(ticket: leases.rig.ticket(epoch: 3))
            #expect(try await client.call("GET", "/containers/\(Self.id)/json")?.status == 409)
            await leases.rig.inventory.apply(try InventoryTests.event("destroy", at: 2_200_000_000_000_000_000))
            #expect(leases.rig.reports.list.last?.state == .removed)
            #expect(leases.keeper.table.entries.isEmpty)
            leases.keeper.retire(leases.rig.workload, epoch: 3, reason: "again")
        }
    }

    @Test("a container that its user stops while it is suspended stays down, and is reported as ended")
    func stopped() async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            try await leases.run()
            leases.lapse()
            leases.die()
            engine.answer = { _ in .json([:], status: 304) }
            let client = try await leases.rig.connect(ticket: leases.rig.ticket())
            #expect(try await client.call("POST", "/containers/\(Self.id)/stop")?.status == 304)
            #expect(leases.rig.reports.list.last?.state == .exited)
            leases.confirm()
            #expect(engine.orders == ["POST /containers/\(Self.id)/stop"])
        }
    }
}

extension [JSON] {
    /// As the engine's list has them: the labels are not in `Config`.
    var listed: [JSON] {
        map { json in
            ["Id": json["Id"] ?? .null, "Labels": json["Config"]?["Labels"] ?? .null]
        }
    }
}
