internal import DockerAPI
internal import Engine
internal import Fleet

/// A pull at another node that its client waits for.
@NodeLoop
final class AwayPull {
    let node: NodeID
    let reference: ImageReference?
    /// The work that waits for it: not always that of the client which is shown it, as equal pulls do not say whose they are.
    let workload: WorkloadID
    let news = News()

    init(_ lease: PendingLease) {
        node = lease.target
        reference = lease.reference
        workload = lease.workload
    }
}
