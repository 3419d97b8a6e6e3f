package import Fleet

/// What has been learned of work and images; a value that its owner keeps and feeds.
package struct WorkEstimates: Sendable {
    /// How much work a key was, over its last runs.
    package struct Work: Sendable, Hashable {
        /// Median and 90th percentile, in seconds of a reference core.
        package var median: Double
        package var high: Double
        package var runs: Int
    }

    /// Runs remembered per key: enough for a 90th percentile, little enough to follow a change.
    package static let runsKept = 32
    /// Keys and images remembered; past it the ones that were used least recently go.
    package let limit: Int

    private struct Samples: Sendable {
        var seconds: [Double] = []
        var next = 0
        var usedAt: UInt64 = 0
    }

    private struct Holders: Sendable {
        var nodes: Set<NodeID> = []
        var usedAt: UInt64 = 0
    }

    private var work: [String: Samples] = [:]
    private var images: [String: Holders] = [:]
    private var clock: UInt64 = 0

    package init(limit: Int = 4096) { self.limit = max(1, limit) }

    /// Learns how much work a finished run was: `coreSeconds` of a reference core. Empty keys and impossible values are passed over.
    package mutating func learn(_ workKey: String, coreSeconds: Double) {
        guard !workKey.isEmpty, coreSeconds.isFinite, coreSeconds >= 0 else { return }
        clock += 1
        var samples = work[workKey] ?? Samples()
        if samples.seconds.count < Self.runsKept {
            samples.seconds.append(coreSeconds)
        } else {
            samples.seconds[samples.next] = coreSeconds
            samples.next = (samples.next + 1) % Self.runsKept
        }
        samples.usedAt = clock
        work[workKey] = samples
        if work.count > limit, let oldest = work.min(by: { $0.value.usedAt < $1.value.usedAt })?.key {
            work[oldest] = nil
        }
    }

    /// Learns from a workload that has exited, on a node whose core runs at `coreSpeed`.
    ///
    /// Its time on the wall is taken for the time of one core, so a run on a crowded node counts as more work than it was; the
    /// median forgets it. Runs that failed say nothing of the work and are passed over.
    package mutating func learn(_ workload: Workload, coreSpeed: Double) {
        guard workload.state == .exited || workload.state == .removed, workload.exitCode == 0,
            workload.startedAt > 0, workload.finishedAt >= workload.startedAt
        else { return }
        learn(workload.workKey, coreSeconds: (workload.finishedAt - workload.startedAt) * max(0.01, coreSpeed))
    }

    /// What is known of `workKey`; nil where nothing is.
    package func work(_ workKey: String) -> Work? {
        guard let samples = work[workKey], !samples.seconds.isEmpty else { return nil }
        let sorted = samples.seconds.sorted()
        func quantile(_ part: Double) -> Double {
            sorted[min(sorted.count - 1, Int((Double(sorted.count) * part).rounded(.down)))]
        }
        return Work(median: quantile(0.5), high: quantile(0.9), runs: sorted.count)
    }

    /// Notes that `node`'s engine has the image with this id (config digest), or that it has lost it.
    package mutating func note(image: String, at node: NodeID, present: Bool = true) {
        guard !image.isEmpty else { return }
        guard present else {
            images[image]?.nodes.remove(node)
            if images[image]?.nodes.isEmpty == true { images[image] = nil }
            return
        }
        clock += 1
        images[image, default: Holders()].nodes.insert(node)
        images[image]?.usedAt = clock
        if images.count > limit, let oldest = images.min(by: { $0.value.usedAt < $1.value.usedAt })?.key {
            images[oldest] = nil
        }
    }

    /// Nodes that are known to have the image.
    package func holders(of image: String) -> Set<NodeID> { images[image]?.nodes ?? [] }

    /// Images that a node is known to have.
    package func images(at node: NodeID) -> [String] { images.filter { $0.value.nodes.contains(node) }.map(\.key) }

    /// Forgets a node that has left, or whose engine was emptied.
    package mutating func forget(_ node: NodeID) {
        for image in images.keys { note(image: image, at: node, present: false) }
    }
}
