package import Fleet

/// Which nodes are better placed than the device to give a node what it lacks of an image.
///
/// First comes the site, which only people know: the tag `site=NAME`. Then the delay, taken over the gateway, than which two
/// nodes are never further apart; and where that is alike, what each has carried.
package struct Neighbourhood: Sendable {
    package struct Source: Sendable, Hashable {
        package var node: NodeID
        /// Why it is better than the device, as the device's user reads it.
        package var reason: String
    }

    private struct Way: Sendable {
        /// The site that both ends are at.
        var site: String?
        var delay: Double
        /// Bytes per second.
        var rate: Double
    }

    /// Differences below these are no more than noise, which would send bytes now this way and now that.
    private static let leastDelay = 0.002
    private static let delayRatio = 0.75
    private static let rateRatio = 1.25

    private let target: Node
    private let direct: Way

    /// - Parameters:
    ///   - rate: bytes per second that the device's own link with the target has carried; 0 where that is not known.
    ///   - roundTrip: of that link, in seconds; 0 where that is not known.
    package init(of target: Node, device: Node, rate: Double = 0, roundTrip: Double = 0) {
        self.target = target
        var way = Self.way(device, target, isDevice: true)
        if rate >= CompletionForecast.leastMeasuredBandwidth { way.rate = rate }
        if roundTrip > 0 { way.delay = roundTrip }
        direct = way
    }

    /// The better ones of these nodes, best first.
    package func sources(among nodes: [Node]) -> [Source] {
        nodes.filter { $0.id != target.id && $0.state == .ready }
            .map { ($0, Self.way($0, target)) }
            .compactMap { node, way in reason(for: way).map { (node, way, Source(node: node.id, reason: $0)) } }
            .sorted { one, other in
                if (one.1.site != nil) != (other.1.site != nil) { return one.1.site != nil }
                return (one.1.delay, other.1.rate, one.0.id) < (other.1.delay, one.1.rate, other.0.id)
            }
            .map(\.2)
    }

    /// nil where the device is as good.
    private func reason(for way: Way) -> String? {
        if let site = way.site, direct.site == nil { return "it is at the same site, \(site)" }
        if direct.site != nil, way.site == nil { return nil }
        if way.delay + Self.leastDelay <= direct.delay, way.delay <= direct.delay * Self.delayRatio {
            return "it is \(Self.milliseconds(way.delay)) away, this device \(Self.milliseconds(direct.delay))"
        }
        guard way.delay <= direct.delay + Self.leastDelay, way.rate >= direct.rate * Self.rateRatio else { return nil }
        return "its link carries \(ByteCount(Int64(way.rate)))/s, this device's \(ByteCount(Int64(direct.rate)))/s"
    }

    /// Of what has not been measured the device's way is presumed to be an ordinary one, and another's to be no good.
    private static func way(_ node: Node, _ target: Node, isDevice: Bool = false) -> Way {
        let ends = [node.measures, target.measures]
        let isTimed = isDevice || ends.allSatisfy { $0.gatewayRTT > 0 }
        let isRated = isDevice || ends.allSatisfy { $0.bandwidth >= CompletionForecast.leastMeasuredBandwidth }
        return Way(
            site: target.tags.first { $0.hasPrefix("site=") && node.tags.contains($0) }.map { String($0.dropFirst(5)) },
            delay: isTimed ? ends.reduce(0) { $0 + CompletionForecast.roundTrip($1) } : .infinity,
            rate: isRated ? ends.map(CompletionForecast.bandwidth).min() ?? 0 : 0)
    }

    private static func milliseconds(_ seconds: Double) -> String { "\((seconds * 10_000).rounded() / 10) ms" }
}
