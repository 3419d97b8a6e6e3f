import DockerAPI
package import Engine
package import Fleet
import Glibc
import Leases
package import Logging
package import NIOCore
import NIOPosix
package import Session

/// Holds this node's leases of exclusive work: lets it run for as long as they stand, and stops it when they run out.
///
/// Each lease that may become a container has a gate and an entry in the table, from before its create until the container is
/// gone. What is here at a lapse is stopped but not forgotten: when the gateway has said what is still this node's, the rest
/// runs again.
@NodeLoop
package final class LeaseKeeper: LeaseHolder {
    package struct Configuration: Sendable {
        package var folder: LeaseFolder
        /// The file of what runs; nil where a boot may forget it.
        package var memory: String?
        /// The engine's socket, for the fence.
        package var engine: String
        /// Which boot of the machine this is.
        package var boot: String
        package var launcher: FenceLauncher
        /// Kills all processes of these containers; nil where it cannot.
        package var kill: @Sendable (Set<String>) -> [String: ContainerGroups.Finding]?
        /// How often an origin is asked for its word.
        package var heartbeat: @Sendable () -> TimeAmount
        /// Nanoseconds of `BootClock`.
        package var clock: @Sendable () -> UInt64

        package init(
            folder: LeaseFolder, memory: String?, engine: String, boot: String = LeaseTable.thisBoot,
            launcher: FenceLauncher = .own, heartbeat: @escaping @Sendable () -> TimeAmount = { .seconds(1) },
            clock: @escaping @Sendable () -> UInt64 = { BootClock.now() }
        ) {
            self.folder = folder
            self.memory = memory
            self.engine = engine
            self.boot = boot
            self.launcher = launcher
            let groups = ContainerGroups.here
            kill = { groups.isUsable ? groups.kill($0) : nil }
            self.heartbeat = heartbeat
            self.clock = clock
        }
    }

    /// One lease that has a gate.
    struct Key: Hashable {
        var workload: WorkloadID
        var epoch: UInt64
    }

    let configuration: Configuration
    let table: LeaseTable
    let inventory: Inventory
    let logger: Logger
    let running: RunningWork
    var book: LeaseBook
    var slots: [Key: Int] = [:]
    /// Creates under way: their entries have no container yet.
    var creating: Set<Key> = []
    /// Containers that were stopped because their lease ran out, and shall run again.
    private(set) var suspended: Set<String> = []
    var waiting: [String: [EventLoopPromise<Void>]] = [:]
    var admissions: [Int: Admission] = [:]
    var nextAdmission = 0
    private var timer: Scheduled<Void>?
    /// Containers that have been killed, with the run that it was: their ends are none of their own.
    var stopping: [String: Double] = [:]
    /// Containers that are being started again.
    var resuming: Set<String> = []
    /// What the gateway has taken away and the engine not removed yet.
    var over: Set<Key> = []
    var streams: [NodeID: any Channel] = [:]
    var isLaunching = false
    /// Fences that this process has started.
    var launched: Set<pid_t> = []
    /// When something exclusive came or went last.
    var lastMove: UInt64 = 0
    /// Told when something comes for which there is no lease: the gateway's word may have run out unheeded.
    package var stirred: (@NodeLoop () -> Void)?
    /// What the guard does to forget a workload's older epochs.
    package var retired: (@NodeLoop (WorkloadID, UInt64) -> Void)?

    var loop: any EventLoop { NodeLoop.shared.loop }
    var folder: LeaseFolder { configuration.folder }
    var now: UInt64 { configuration.clock() }

    /// - Returns: nil where the folder cannot be used; the reason is in `errno`.
    package init?(_ configuration: Configuration, inventory: Inventory, logger: Logger) {
        let error = configuration.folder.make()
        guard error == 0,
            let table = LeaseTable(
                path: configuration.folder.tablePath, engine: configuration.engine, boot: configuration.boot)
        else {
            if error != 0 { errno = error }
            return nil
        }
        self.configuration = configuration
        self.table = table
        self.inventory = inventory
        self.logger = logger
        running = RunningWork(path: configuration.memory)
        let now = configuration.clock()
        // What an earlier process was promised stands: a restart stops nothing.
        var origins: [NodeID: UInt64] = [:]
        for entry in table.entries {
            slots[Key(workload: entry.workload, epoch: entry.epoch)] = entry.slot
            let deadline = entry.isFenced ? 0 : entry.deadline
            origins[entry.origin] = min(origins[entry.origin] ?? .max, deadline)
        }
        book = LeaseBook(gateway: table.gatewayDeadline, origins: origins, now: now)
        folder.shut(
            exceptOf: Set(table.entries.filter { !$0.isFenced }.map { folder.gate($0.workload, epoch: $0.epoch) }))
        inventory.exclusive = self
        schedule()
    }

    // MARK: - What leases say

    func stands(_ origin: NodeID) -> Bool {
        check()
        return book.lease(origin).stands(at: now)
    }

    /// Why nothing of this origin's may be started now.
    func checkStands(_ record: ContainerRecord) throws(DockerFailure) {
        guard record.isExclusive, !stands(record.workload.origin) else { return }
        throw Self.cutOff(inventory.node)
    }

    nonisolated static func cutOff(_ node: NodeID) -> DockerFailure {
        DockerFailure(
            status: 503,
            message:
                "lighter: node \(node) is cut off from the gateway, and this container's work is exclusive: it may run "
                + "elsewhere by now; ask again when the node is back")
    }

    /// Looks at the clock; stops what has run out.
    func check() {
        for origin in book.check(at: now) { stop(origin, because: "no word of the gateway or \(origin) in time") }
    }

    /// Looks again when the first lease would end.
    func schedule() {
        timer?.cancel()
        timer = nil
        let ends = Set(slots.values.compactMap { table[$0] }.map(\.origin)).compactMap { origin -> UInt64? in
            let lease = book.lease(origin)
            return lease.hasLapsed ? nil : lease.validUntil
        }
        guard let end = ends.min() else { return }
        let now = now
        // Timers of the loop stand still while the machine sleeps, so that it does not sleep for long.
        let wait = min(end > now ? end - now : 0, 1_000_000_000)
        timer = loop.scheduleTask(in: .nanoseconds(Int64(wait))) { [weak self] in
            NodeLoop.assumeIsolated {
                self?.check()
                self?.schedule()
            }
        }
    }

    /// Puts what the leases say into the table.
    private func enter(_ origin: NodeID? = nil) {
        if origin == nil { table.gatewayDeadline = book.gateway.validUntil }
        for slot in slots.values {
            guard let entry = table[slot], origin == nil || entry.origin == origin else { continue }
            let lease = book.lease(entry.origin)
            guard !lease.hasLapsed, !table.renew(slot, until: lease.validUntil) else { continue }
            // The fence was first, or somebody has ended it.
            if book.lapse(entry.origin) { stop(entry.origin, because: "its fence has stopped it") }
        }
        answerAdmissions()
        keepFence()
        if timer == nil { schedule() }
    }

    // MARK: - What the session says, on the loop

    package nonisolated func renew(sentAt: UInt64, term: Duration) {
        NodeLoop.assumeIsolated {
            check()
            book.renew(sentAt: sentAt, term: term.nanoseconds)
            enter()
        }
    }

    package nonisolated var awaitsConfirmation: Bool {
        NodeLoop.assumeIsolated { book.awaitsConfirmation(at: now) }
    }

    package nonisolated var isIdle: Bool {
        NodeLoop.assumeIsolated {
            slots.isEmpty && admissions.isEmpty && creating.isEmpty && now >= lastMove &+ Self.restlessness
        }
    }

    /// How long after the last exclusive container leases are still kept, for the next one: nanoseconds.
    private static let restlessness: UInt64 = 60_000_000_000

    package nonisolated func mark() -> LeaseMark { NodeLoop.assumeIsolated { book.mark } }

    package nonisolated func confirm(_ mark: LeaseMark) {
        NodeLoop.assumeIsolated {
            check()
            for origin in book.confirm(mark, at: now) { resume(origin) }
            answerAdmissions()
            schedule()
        }
    }

    package nonisolated func retire(_ workload: WorkloadID, epoch: UInt64, reason: String) {
        NodeLoop.assumeIsolated { takeAway(workload, epoch: epoch, reason: reason) }
    }

    /// An origin's own word, on its stream.
    func renew(_ origin: NodeID, sentAt: UInt64, term: UInt64) {
        check()
        book.renew(origin, sentAt: sentAt, term: term)
        enter(origin)
    }

    // MARK: - What the gateway and the guard say of single leases

    /// The gateway's own ticket.
    func tell(_ workload: WorkloadID, epoch: UInt64, origin: NodeID) {
        check()
        book.tell(workload, epoch: epoch, origin: origin)
        answerAdmissions()
    }

    func suspend(_ container: String) { suspended.insert(container) }

    /// It runs again, or never will.
    func release(_ container: String) {
        guard suspended.remove(container) != nil else { return }
        for promise in waiting.removeValue(forKey: container) ?? [] { promise.succeed() }
    }

    /// Returns when the container is not one that shall run again any more.
    func endOfSuspension(of container: String) async {
        guard suspended.contains(container) else { return }
        let promise = loop.makePromise(of: Void.self)
        waiting[container, default: []].append(promise)
        // It is only ever fulfilled.
        try? await promise.futureResult.get()
    }
}

extension Duration {
    /// Never less than none.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return seconds < 0 ? 0 : UInt64(seconds) * 1_000_000_000 + UInt64(max(0, attoseconds) / 1_000_000_000)
    }
}
