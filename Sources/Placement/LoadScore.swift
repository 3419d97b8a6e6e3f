import Fleet

/// How much speaks against one more workload on a node, 0 to 1, and more where it was lost lately: what `remote` and `threshold` choose by.
///
/// `0.5 x CPU + 0.3 x memory + 0.1 x delay + 0.1 x shipping`; delay counts in full at 200 ms, shipping at one minute. Each time
/// that the node was lost lately adds 0.1, as far as it counts still.
struct LoadScore: Sendable, Hashable {
    static let slowestRTT = 0.2
    static let longestShipping = 60.0
    static let lossWeight = 0.1

    /// The greater of what is measured and what is reserved: leases count before their load is seen.
    let cpu: Double
    let memory: Double
    let forecast: CompletionForecast

    var total: Double {
        0.5 * cpu + 0.3 * memory + 0.1 * min(1, forecast.roundTrip / Self.slowestRTT)
            + 0.1 * min(1, forecast.shipping / Self.longestShipping)
            + Self.lossWeight * min(forecast.losses, CompletionForecast.mostLosses)
    }

    init(_ node: Node, _ question: Question) {
        cpu = Self.used(node.measures.cpu, node.reserved.cpus, of: node.capacity.cpus)
        memory = Self.used(
            node.measures.memory, Double(node.reserved.memory.bytes), of: Double(node.capacity.memory.bytes))
        forecast = CompletionForecast(node, question)
    }

    var terms: [Decision.Term] {
        [
            Decision.Term("cpu", cpu, "fraction"),
            Decision.Term("memory", memory, "fraction"),
            Decision.Term("round trip", forecast.roundTrip, "s"),
            Decision.Term("image missing", Double(forecast.missing.bytes), "bytes"),
            Decision.Term("bandwidth", forecast.bandwidth, "bytes/s"),
            Decision.Term("shipping", forecast.shipping, "s"),
        ] + forecast.lossTerms
    }

    private static func used(_ measured: Double, _ reserved: Double, of capacity: Double) -> Double {
        let part = capacity > 0 ? reserved / capacity : 0
        return min(1, max(0, measured, part))
    }
}
