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
    /// Work that was asked for here, and is under no ticket.
    package var isLocal: Bool

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

    package var holdsCapacity: Bool { workload.state.holdsCapacity && !hasEnded }
}
