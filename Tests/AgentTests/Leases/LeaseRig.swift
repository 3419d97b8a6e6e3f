import DockerAPI
import Engine
import Fleet
import LighterTesting
import Logging
import NIOCore
import Synchronization
import Testing

@testable import Agent

#if canImport(Glibc)
    import Glibc
#endif

/// A keeper of leases with a clock of the test's, whose kills are only written down.
@NodeLoop
final class LeaseRig {
    nonisolated static let term = Duration.seconds(1000)
    nonisolated static let container = String(repeating: "a1", count: 32)

    /// The test's time, and what was killed when.
    final class World: Sendable {
        struct Kill: Sendable, Equatable {
            var containers: Set<String>
            /// Gates that were there when it happened.
            var gates: Int
        }

        private let state = Mutex((now: UInt64(1_000_000), kills: [Kill](), dead: Set<String>()))
        let gates: String

        init(_ gates: String) { self.gates = gates }

        /// In seconds.
        var now: UInt64 {
            get { state.withLock { $0.now } }
            set { state.withLock { $0.now = newValue } }
        }
        var nanoseconds: UInt64 { now * 1_000_000_000 }
        var kills: [Kill] { state.withLock { $0.kills }.filter { !$0.containers.isEmpty } }

        func kill(_ containers: Set<String>) -> [String: ContainerGroups.Finding] {
            let open = LeaseRig.count(gates)
            return state.withLock { state in
                state.kills.append(Kill(containers: containers, gates: open))
                let news = containers.subtracting(state.dead)
                state.dead.formUnion(containers)
                return Dictionary(
                    uniqueKeysWithValues: containers.map {
                        ($0, .init(outcome: news.contains($0) ? .remains : .gone, ran: news.contains($0)))
                    })
            }
        }
    }

    let rig: GuardRig
    let scratch: ScratchFolder
    let world: World
    private(set) var keeper: LeaseKeeper
    var folder: LeaseFolder { keeper.folder }

    init(_ rig: GuardRig, boot: String = "one", running: [String] = []) throws {
        self.rig = rig
        scratch = try ScratchFolder()
        world = World("\(scratch.path)/leases/gates")
        if !running.isEmpty {
            TextFile.append(running.map { "\($0)\n" }.joined(), to: "\(scratch.path)/exclusive")
        }
        keeper = try Self.keeper(rig, scratch, world, boot)
        rig.desk.leases = keeper
    }

    private static func keeper(
        _ rig: GuardRig, _ scratch: ScratchFolder, _ world: World, _ boot: String
    ) throws -> LeaseKeeper {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        var configuration = LeaseKeeper.Configuration(
            folder: LeaseFolder(path: "\(scratch.path)/leases"), memory: "\(scratch.path)/exclusive",
            engine: "/nowhere",
            boot: boot, launcher: FenceLauncher { _ in getpid() }, heartbeat: { .milliseconds(1) },
            clock: { world.nanoseconds })
        configuration.kill = { world.kill($0) }
        return try #require(LeaseKeeper(configuration, inventory: rig.inventory, logger: logger))
    }

    /// As a daemon that starts anew on the same machine.
    func restart(boot: String = "one") throws {
        keeper = try Self.keeper(rig, scratch, world, boot)
        rig.desk.leases = keeper
    }

    /// A heartbeat of now is acknowledged.
    func beat() { keeper.renew(sentAt: world.nanoseconds, term: Self.term) }

    /// The gateway answers a heartbeat and a report of all that is here.
    func confirm() {
        beat()
        keeper.confirm(keeper.mark())
    }

    func lapse() {
        world.now += 1000
        keeper.check()
    }

    /// A running exclusive container of the rig's workload.
    func run(_ id: String = LeaseRig.container) async throws {
        try know(id)
        await rig.inventory.apply(try InventoryTests.event("start", at: 2_000_000_000_000_000_000, id: id))
    }

    func know(_ id: String = LeaseRig.container, status: String = "created", exitCode: Int64 = 0) throws {
        rig.inventory.learn(
            try #require(EngineReading.record(inspect: inspection(id, status: status, exitCode: exitCode))))
    }

    func inspection(_ id: String = LeaseRig.container, status: String, exitCode: Int64 = 0, error: String = "") -> JSON
    {
        var json = rig.inspection(id: id, status: status)
        json.update(named: "Config") { config in
            var labels = config["Labels"]?.objectValue ?? JSONObject()
            labels[WorkloadLabels.exclusive] = "true"
            config["Labels"] = .object(labels)
        }
        json.update(named: "State") { state in
            state["ExitCode"] = .int(exitCode)
            state["Error"] = .string(error)
        }
        return json
    }

    /// What the kernel tells of a killed container.
    func die(_ id: String = LeaseRig.container, code: Int32? = 137) {
        rig.inventory.ended(id, 42, at: 2_100_000_000, code: code)
    }

    /// Returns when something has happened on the loop that also reads the sockets: each look comes behind a call to the guard.
    func wait(until condition: @NodeLoop () -> Bool) async throws {
        let client = try await rig.connect()
        while !condition() { _ = try await client.call("POST", "/containers/none/start") }
        await client.close()
    }

    var gates: Int { Self.count(world.gates) }

    nonisolated static func count(_ folder: String) -> Int {
        guard let directory = opendir(folder) else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return count - 2
    }
}

@NodeLoop
func withLeases(
    boot: String = "one", running: [String] = [], _ body: @NodeLoop (LeaseRig, FakeEngine) async throws -> Void
) async throws {
    try await withGuard { rig, engine in
        engine.answer = { _ in .json(["message": "no"], status: 404) }
        try await body(try LeaseRig(rig, boot: boot, running: running), engine)
    }
}

extension FakeEngine {
    /// What it was told to do; what it was only asked is left out.
    var orders: [String] { paths().filter { !$0.hasPrefix("GET") } }
}
