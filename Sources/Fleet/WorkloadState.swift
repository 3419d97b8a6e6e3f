/// What a workload is doing, in the order in which it can.
///
/// States move forward only, but for `running` and `paused` (which alternate) and `exited` (a container can be started again).
package enum WorkloadState: String, Sendable, Hashable, Codable, CaseIterable, CustomStringConvertible {
    /// A target has been chosen and leased; its engine has no container yet. Next: created, removed.
    case pending
    /// The engine has the container. Next: running, exited, removed.
    case created
    /// Next: paused, exited, removed.
    case running
    /// Next: running, exited, removed.
    case paused
    /// Next: running, removed.
    case exited
    /// Gone for good.
    case removed

    package var description: String { rawValue }

    /// Whether the workload holds its node's capacity.
    package var holdsCapacity: Bool {
        switch self {
        case .pending, .created, .running, .paused: true
        case .exited, .removed: false
        }
    }

    /// Whether nothing of it is left, or to come: its name may be used again.
    package var isOver: Bool { self == .removed }

    /// Whether a report may move a workload from this state to `next`. Staying is always allowed.
    ///
    /// A report says what is, and reports coalesce, so every state that can be reached by several steps is allowed in one.
    package func allows(_ next: WorkloadState) -> Bool {
        switch (self, next) {
        case (.removed, .removed): true
        case (.removed, _): false
        case (.pending, _): true
        case (_, .pending): false
        case (.created, _): true
        case (_, .created): false
        default: true
        }
    }
}
