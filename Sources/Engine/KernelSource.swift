/// What the kernel tells of containers, besides and before the engine's events.
package enum KernelSource: String, Sendable, Hashable, CaseIterable {
    /// Ends of first processes: `ExitWatch`.
    case pidfd
    /// Kills for want of memory: `MemoryGroup`.
    case cgroup
    /// Starts: `StartWatch`.
    case ebpf
}
