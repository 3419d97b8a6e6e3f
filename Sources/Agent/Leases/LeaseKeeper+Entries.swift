import DockerAPI
import Engine
import Fleet
import Glibc
import Leases
import Logging
import NIOCore
import NIOPosix

/// From the wish for an exclusive container to its end.
extension LeaseKeeper {
    /// How long a create waits for the gateway's own word.
    static let patience: TimeAmount = .seconds(5)

    struct Admission {
        var key: Key
        var origin: NodeID
        var promise: EventLoopPromise<Bool>
    }

    /// Makes the gate for a create, once the gateway has told of its lease; to be followed by `created` or `abandon`.
    /// - Returns: the gate's path.
    func admit(_ workload: WorkloadID, epoch: UInt64, origin: NodeID) async throws(DockerFailure) -> String {
        let key = Key(workload: workload, epoch: epoch)
        if isIdle {
            // What the gateway granted last may end before the next heartbeat is answered.
            lastMove = now
            stirred?()
        }
        guard await isAdmitted(key, origin), await ensureFence(), book.lease(origin).stands(at: now) else {
            throw DockerFailure(
                status: 503,
                message:
                    "lighter: node \(inventory.node) cannot take exclusive work now: the gateway has not told it of this "
                    + "lease; try again, or place it elsewhere")
        }
        guard let slot = slots[key] ?? claim(key, origin) else {
            throw DockerFailure(
                status: 503,
                message:
                    "lighter: node \(inventory.node) has no room: it runs \(LeaseTable.capacity) exclusive containers")
        }
        table.reopen(slot, until: book.lease(origin).validUntil)
        creating.insert(key)
        try openGate(key)
        schedule()
        folder.wake()
        return folder.gate(workload, epoch: epoch)
    }

    private func isAdmitted(_ key: Key, _ origin: NodeID) async -> Bool {
        if book.lease(origin).admits(key.workload, epoch: key.epoch, at: now) { return true }
        nextAdmission += 1
        let number = nextAdmission
        let promise = loop.makePromise(of: Bool.self)
        admissions[number] = Admission(key: key, origin: origin, promise: promise)
        lastMove = now
        if !book.lease(origin).stands(at: now) { stirred?() }
        let timer = loop.scheduleTask(in: Self.patience) { promise.succeed(false) }
        let answer = try? await promise.futureResult.get()
        timer.cancel()
        admissions[number] = nil
        return answer ?? false
    }

    func answerAdmissions() {
        let now = now
        for (number, admission) in admissions
        where book.lease(admission.origin).admits(admission.key.workload, epoch: admission.key.epoch, at: now) {
            admissions[number] = nil
            admission.promise.succeed(true)
        }
    }

    private func claim(_ key: Key, _ origin: NodeID) -> Int? {
        book.add(origin)
        let lease = book.lease(origin)
        let slot = table.claim(
            key.workload, epoch: key.epoch, origin: origin, until: lease.stands(at: now) ? lease.validUntil : nil)
        slots[key] = slot
        return slot
    }

    private func openGate(_ key: Key) throws(DockerFailure) {
        let error = folder.open(key.workload, epoch: key.epoch)
        guard error != 0 else { return }
        throw DockerFailure(
            status: 503,
            message:
                "lighter: node \(inventory.node) cannot make a gate in \(folder.path): \(String(cString: strerror(error)))"
        )
    }

    /// The engine's answer to a create is over; what has become of it, the inventory knows.
    func concluded(_ workload: WorkloadID, epoch: UInt64) {
        let key = Key(workload: workload, epoch: epoch)
        creating.remove(key)
        drop(key)
    }

    /// Sees to it that a container of the engine may be started: it has its gate, and its fence watches.
    func prepareStart(_ record: ContainerRecord) async throws(DockerFailure) {
        try checkStands(record)
        guard record.isExclusive else { return }
        guard await ensureFence() else {
            throw DockerFailure(
                status: 503,
                message: "lighter: node \(inventory.node) cannot start the fence that exclusive work needs; see its log"
            )
        }
        try checkStands(record)
        let key = Key(record)
        guard let slot = slots[key], let entry = table[slot], !entry.isFenced else { throw Self.cutOff(inventory.node) }
        try openGate(key)
    }

    // MARK: - What the inventory says

    /// A container is as the record says.
    func note(_ record: ContainerRecord) {
        let key = Key(record)
        let isKnown = slots[key] != nil
        guard let slot = slots[key] ?? claim(key, record.workload.origin), let entry = table[slot] else {
            return kill([record.id], because: "no more than \(LeaseTable.capacity) exclusive containers can be watched")
        }
        if entry.containerID != record.id, record.workload.state != .removed { table.name(slot, record.id) }
        if !isKnown {
            if !entry.isFenced { _ = folder.open(key.workload, epoch: key.epoch) }
            schedule()
            folder.wake()
            keepFence()
        }
        if record.holdsCapacity, record.workload.state != .created {
            running.insert(record.id)
            release(record.id)
            if table[slot]?.isFenced ?? true { stop([slot], because: "it has no lease") }
        } else if record.hasEnded {
            noteEnd(record, slot, isKnown: isKnown)
        }
    }

    /// An end that the lapse has brought is none; one of its own is.
    private func noteEnd(_ record: ContainerRecord, _ slot: Int, isKnown: Bool) {
        guard running.contains(record.id) || record.workload.error.contains(LeaseFolder.mountTarget) else { return }
        let isStopped = table[slot]?.isFenced ?? false || stopping[record.id] == record.workload.startedAt
        stopping[record.id] = nil
        // 255 is what an engine says of what ran when the power went.
        let isOurs =
            record.workload.exitCode.map { [137, 255].contains($0) } ?? true && !record.ranOutOfMemory
            || record.workload.error.contains(LeaseFolder.mountTarget)
        // What a fresh table did not know yet ended before the boot.
        if isStopped || (table.isFresh && !isKnown), isOurs {
            running.insert(record.id)
            suspend(record.id)
            if !(table[slot]?.isFenced ?? true) { start(record.id) }
        } else {
            running.remove(record.id)
            release(record.id)
        }
    }

    /// Its user wants it to stay down.
    func noteStopped(_ record: ContainerRecord) {
        guard record.isExclusive, suspended.contains(record.id) else { return }
        running.remove(record.id)
        release(record.id)
        inventory.tellAgain(record.id)
    }

    func noteGone(_ record: ContainerRecord) {
        running.remove(record.id)
        stopping[record.id] = nil
        release(record.id)
        book.forget(record.workload.id, origin: record.workload.origin)
        drop(Key(record))
    }

    /// The engine has told all that it has.
    package func engineIsListed() {
        for key in Array(slots.keys) { drop(key) }
        for key in over {
            for record in inventory.index.containers(of: key.workload) where Key(record) == key && !record.isLocal {
                // Unstructured: ends with the engine's answer.
                Task { @NodeLoop in await remove(record.id) }
            }
        }
        for slot in slots.values {
            if let entry = table[slot], !entry.isFenced, let id = entry.containerID, suspended.contains(id) {
                start(id)
            }
        }
        for id in running.containers where inventory.index[id] == nil { running.remove(id) }
    }

    /// Forgets a lease that has no container any more, and none to come.
    private func drop(_ key: Key) {
        guard let slot = slots[key], !creating.contains(key),
            !inventory.index.containers(of: key.workload).contains(where: { Key($0) == key && $0.isExclusive })
        else { return }
        folder.shut(key.workload, epoch: key.epoch)
        table.free(slot)
        slots[key] = nil
        lastMove = now
        over.remove(key)
        folder.wake()
    }
}

extension LeaseKeeper.Key {
    init(_ record: ContainerRecord) {
        self.init(workload: record.workload.id, epoch: record.workload.version.epoch)
    }
}
