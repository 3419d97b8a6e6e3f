package import Fleet

/// One container of this node's engine that is under Lighter's care.
package struct ContainerRecord: Sendable, Hashable {
    /// The engine's full id.
    package let id: String
    /// As the engine has it, without the slash: `web.edge1` for another node's `web`.
    package var name: String
    package var workload: Workload
    /// When the engine made the last event that was applied, in nanoseconds since 1970; older ones change nothing.
    package var eventTime: Int64 = 0
    /// The process has ended, though its exit code may not be known yet: its capacity is free.
    package var hasEnded = false
    /// The first process of the run that the kernel has told the end of, until the engine has, too.
    package var endedPid: Int32?
    /// The first process of the run whose start the kernel has told.
    package var kernelPid: Int32?
    /// Of that start the engine has not told yet.
    package var awaitsEngine = false
    /// Whether the first process is the container's own, so that its exit code is; nil while that is not known.
    package var runsItsProcess: Bool?
    /// The kernel has killed in it for want of memory since it was started; not every engine says so.
    package var ranOutOfMemory = false
    /// Work that was asked for here, and is under no ticket.
    package var isLocal: Bool
    /// Another node's work that must never run twice.
    package var isExclusive = false

    package init(id: String, name: String, workload: Workload, isLocal: Bool) {
        self.id = id
        self.name = name
        self.workload = workload
        self.isLocal = isLocal
    }

    /// The name that the container's user knows: without the origin that the guard put behind it.
    package var userName: String {
        let suffix = ".\(workload.origin.name)"
        return !isLocal && name.hasSuffix(suffix) ? String(name.dropLast(suffix.count)) : name
    }

    /// Whether the engine would take `reference`, as the container's user writes it, for this container.
    package func answers(to reference: String) -> Bool {
        let reference = reference.utf8.first == UInt8(ascii: "/") ? String(reference.dropFirst()) : reference
        if reference.utf8.isEmpty { return false }
        return id.utf8.elementsEqual(reference.utf8) || reference == name || reference == userName
            || id.utf8.starts(with: reference.utf8)
    }

    /// Takes in what the kernel says: a run has begun. The engine's event, when it comes, tells nothing new.
    mutating func started(pid: Int32, at time: Double) {
        begin(at: time)
        kernelPid = pid
        awaitsEngine = true
        eventTime = max(eventTime, Int64(time * 1e9))
    }

    /// A new run, of which nothing else is known yet.
    mutating func begin(at time: Double) {
        workload.state = .running
        workload.startedAt = time
        workload.finishedAt = 0
        workload.exitCode = nil
        workload.error = ""
        hasEnded = false
        endedPid = nil
        kernelPid = nil
        awaitsEngine = false
        ranOutOfMemory = false
    }

    /// Takes in what the kernel says: the run is over. The code is the engine's to say where the kernel does not; until then
    /// there is none.
    mutating func ended(pid: Int32, at time: Double, code: Int32?) {
        hasEnded = true
        endedPid = pid
        // What the engine tells of the time before comes late: but for the end itself, nothing of this run is news.
        eventTime = max(eventTime, Int64(time * 1e9))
        workload.state = .exited
        workload.finishedAt = time
        workload.exitCode = code
    }

    mutating func outOfMemory() {
        ranOutOfMemory = true
        if workload.error.isEmpty { workload.error = EngineReading.outOfMemory }
    }

    package var holdsCapacity: Bool { workload.state.holdsCapacity && !hasEnded }
}
