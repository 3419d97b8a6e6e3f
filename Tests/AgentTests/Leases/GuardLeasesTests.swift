import DockerAPI
import Engine
import Fleet
import Leases
import NIOCore
import NIOPosix
import Testing

@testable import Agent

@Suite("Exclusive work before the guard")
@NodeLoop
struct GuardLeasesTests {
    private nonisolated static let id = LeaseRig.container
    private nonisolated static let wish = #"{"Image":"x","Labels":{"io.lighter.exclusive":"true"}}"#

    @Test("a create waits for the gateway's own ticket, and gets its gate as a mount that only reads")
    func create() async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            engine.answer = { _ in .json(["Id": .string(Self.id)], status: 201) }
            let client = try await leases.rig.connect(ticket: leases.rig.ticket())
            let answer = Task { try await client.call("POST", "/containers/create?name=web", body: Self.wish) }
            try await leases.wait { !leases.keeper.admissions.isEmpty }
            #expect(engine.passed.isEmpty)
            leases.rig.desk.deposit(ticket: try leases.rig.ticket())
            #expect(try await answer.value?.status == 201)
            let body = try #require(engine.passed.first?.json)
            let gate = leases.folder.gate(leases.rig.workload, epoch: 3)
            #expect(
                body["HostConfig"]?["Mounts"] == [
                    ["Type": "bind", "Source": .string(gate), "Target": "/dev/.lighter-lease", "ReadOnly": true]
                ])
            #expect(body["Labels"]?["io.lighter.exclusive"] == "true")
            #expect(leases.gates == 1)
            #expect(leases.keeper.table.entries.first?.containerID == Self.id)
            #expect(leases.rig.inventory.index[Self.id]?.isExclusive == true)
        }
    }

    @Test("a create without a lease that stands is refused, so that it is placed elsewhere; the engine is not asked")
    func refused() async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            leases.lapse()
            leases.rig.desk.deposit(ticket: try leases.rig.ticket())
            let client = try await leases.rig.connect(ticket: leases.rig.ticket())
            let answer = Task { try await client.call("POST", "/containers/create", body: Self.wish) }
            try await leases.wait { !leases.keeper.admissions.isEmpty }
            for admission in leases.keeper.admissions.values { admission.promise.succeed(false) }
            let refusal = try #require(try await answer.value)
            #expect(refusal.status == 503)
            #expect(refusal.head.headers.first("X-Lighter-Refused") == "capacity")
            #expect(engine.passed.isEmpty)
            #expect(leases.gates == 0)
        }
    }

    @Test("a create that the engine refuses leaves neither gate nor entry")
    func failed() async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            leases.rig.desk.deposit(ticket: try leases.rig.ticket())
            engine.answer = { _ in .json(["message": "No such image"], status: 404) }
            let client = try await leases.rig.connect(ticket: leases.rig.ticket())
            #expect(try await client.call("POST", "/containers/create", body: Self.wish)?.status == 404)
            #expect(leases.gates == 0)
            #expect(leases.keeper.table.entries.isEmpty)
        }
    }

    @Test("a container that has no such wish has no gate, whatever else it says")
    func plain() async throws {
        try await withLeases { leases, engine in
            engine.answer = { _ in .json(["Id": .string(Self.id)], status: 201) }
            let client = try await leases.rig.connect(ticket: leases.rig.ticket())
            let body = #"{"Image":"x","Labels":{"io.lighter.exclusive":"yes"}}"#
            #expect(try await client.call("POST", "/containers/create", body: body)?.status == 201)
            let passed = try #require(engine.passed.first?.json)
            #expect(passed["HostConfig"]?["Mounts"] == nil)
            #expect(passed["Labels"]?["io.lighter.exclusive"] == nil)
            #expect(leases.keeper.table.entries.isEmpty)
        }
    }

    @Test(
        "nothing that lets it run is passed on while the lease does not stand",
        arguments: ["start", "restart", "unpause", "exec"])
    func cutOff(action: String) async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            try await leases.run()
            leases.lapse()
            let client = try await leases.rig.connect(ticket: leases.rig.ticket())
            let answer = try #require(
                try await client.call("POST", "/containers/\(Self.id)/\(action)", body: action == "exec" ? "{}" : ""))
            #expect(answer.status == 503)
            #expect(answer.message.contains("cut off from the gateway"))
            #expect(engine.orders.isEmpty)
        }
    }

    @Test("who waits for a suspended container does not hear of an end that is none")
    func wait() async throws {
        try await withLeases { leases, engine in
            leases.confirm()
            try await leases.run()
            leases.lapse()
            leases.die()
            let client = try await leases.rig.connect(ticket: leases.rig.ticket())
            client.send("POST /containers/\(Self.id)/wait HTTP/1.1\r\nHost: d\r\n\r\n")
            try await leases.wait { leases.keeper.waiting[Self.id] != nil }
            #expect(engine.orders.isEmpty)
            await leases.rig.inventory.apply(
                try InventoryTests.event("start", at: 2_200_000_000_000_000_000, id: Self.id))
            await engine.waitForPath("POST /containers/\(Self.id)/wait")
        }
    }

    @Test("an origin's answers renew its own leases, and only answers to what was asked")
    func origin() async throws {
        try await withLeases { leases, _ in
            leases.confirm()
            try await leases.run()
            let stream = try await OriginStream.open(leases)
            let asked = try #require(await stream.question())
            #expect(asked == leases.world.nanoseconds)
            leases.world.now += 900
            stream.answer(asked, term: 3_000_000_000_000)
            try await leases.wait {
                leases.keeper.book.lease(leases.rig.origin).validUntil == asked + 3_000_000_000_000
            }
            leases.world.now += 500
            leases.keeper.check()
            #expect(leases.keeper.stands(leases.rig.origin))
            #expect(leases.world.kills.isEmpty)
            #expect(!leases.keeper.book.gateway.stands(at: leases.world.nanoseconds))
            stream.answer(asked + 1, term: 3_500_000_000_000)
            await stream.end()
            #expect(leases.keeper.book.lease(leases.rig.origin).validUntil == asked + 3_000_000_000_000)
            #expect(leases.keeper.streams.isEmpty)
        }
    }
}
