import Fleet

/// When the result would be there, in seconds from now, if the workload ran on one node.
///
/// `bytes missing (image and bind mounts) / bandwidth + 3 x round trip + work / speed + what sharing the CPU adds`. A container is taken to use one core
/// at a time, as most do; several cores only make its share certain. A node that was lost lately may be so again, and the work
/// with it: each loss adds a quarter, as far as it counts still.
struct CompletionForecast: Sendable, Hashable {
    /// Round trips that a run pays beyond the same run on the target itself.
    static let roundTrips = 3.0
    /// For a link that has not been measured, per node: between a city's and a continent's.
    static let presumedRTT = 0.02
    /// For a link that has carried no bulk yet, in bytes per second: 100 Mbit/s.
    static let presumedBandwidth = 12.5e6
    /// Below this a figure only says that nothing large was sent lately, not that the link is slow.
    static let leastMeasuredBandwidth = Measures.leastBandwidth
    /// For work that has never been seen, in seconds of a reference core.
    static let presumedWork = 10.0
    /// Busy part at which the number of containers, rather than the load, says how many compete.
    static let saturation = 0.95
    /// Part of the forecast that each recent loss adds.
    static let riskOfLoss = 0.25
    /// More than so many say nothing new.
    static let mostLosses = 8.0

    let missing: ByteCount
    let mounts: ByteCount
    let bandwidth: Double
    let shipping: Double
    let roundTrip: Double
    let travel: Double
    /// Reference-core seconds.
    let work: Double
    let speed: Double
    /// Part of one core that the workload would get, above 0 and at most 1.
    let share: Double
    let computing: Double
    let waiting: Double
    /// How often the node was lost lately.
    let losses: Double

    var risk: Double { (shipping + travel + computing + waiting) * Self.riskOfLoss * min(losses, Self.mostLosses) }
    var total: Double { shipping + travel + computing + waiting + risk }

    init(_ node: Node, _ question: Question) {
        let isOrigin = question.isOrigin(node)
        let origin = question.origin.measures
        missing = question.missingBytes(on: node)
        mounts = question.mountBytes(on: node)
        bandwidth = min(Self.bandwidth(origin), Self.bandwidth(node.measures))
        shipping = (Double(missing.bytes) + Double(mounts.bytes)) / bandwidth
        roundTrip = isOrigin ? 0 : Self.roundTrip(origin) + Self.roundTrip(node.measures)
        travel = Self.roundTrips * roundTrip
        work = question.work?.median ?? Self.presumedWork
        speed = max(0.01, node.measures.coreSpeed)
        share = Self.share(of: node, asked: question.request.resources.cpus)
        computing = work / speed
        waiting = computing / share - computing
        losses = question.losses(of: node)
    }

    func terms(known: WorkEstimates.Work?) -> [Decision.Term] {
        [
            Decision.Term("image missing", Double(missing.bytes), "bytes"),
            Decision.Term("mounts missing", Double(mounts.bytes), "bytes"),
            Decision.Term("bandwidth", bandwidth, "bytes/s"),
            Decision.Term("shipping", shipping, "s"),
            Decision.Term("round trip", roundTrip, "s"),
            Decision.Term("travel", travel, "s"),
            Decision.Term("work", work, "core s"),
            Decision.Term("runs known", Double(known?.runs ?? 0), ""),
            Decision.Term("core speed", speed, ""),
            Decision.Term("share of a core", share, "fraction"),
            Decision.Term("computing", computing, "s"),
            Decision.Term("waiting", waiting, "s"),
        ] + lossTerms + (losses > 0 ? [Decision.Term("risk of loss", risk, "s")] : [])
    }

    /// Only of a node that was lost.
    var lossTerms: [Decision.Term] { losses > 0 ? [Decision.Term("lost lately", losses, "")] : [] }

    /// What is idle or reserved by nobody, but at least the part that the kernel's fair scheduling gives to one more.
    private static func share(of node: Node, asked: Double) -> Double {
        let cores = node.capacity.cpus > 0 ? node.capacity.cpus : 1
        let load = min(1, max(0, node.measures.cpu))
        let busy = max(cores * load, min(cores, max(0, node.reserved.cpus)))
        let competitors = load >= saturation ? max(busy, Double(node.measures.runningContainers)) : busy
        let share = max(cores - busy, cores / (competitors + 1))
        // A container limited to half a core gets no more, wherever it runs.
        return min(1, share, asked > 0 ? asked : 1)
    }

    static func bandwidth(_ measures: Measures) -> Double {
        measures.bandwidth >= leastMeasuredBandwidth ? measures.bandwidth : presumedBandwidth
    }

    static func roundTrip(_ measures: Measures) -> Double {
        measures.gatewayRTT > 0 ? measures.gatewayRTT : presumedRTT
    }
}
