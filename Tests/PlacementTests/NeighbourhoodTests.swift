import Fleet
import Testing

@testable import Placement

@Suite("Whether another node is better placed than the device to give a node layers")
struct NeighbourhoodTests {
    /// - Parameter delay: to the gateway, in seconds.
    private func node(_ name: String, delay: Double, rate: Double = 0, site: String? = nil) throws -> Node {
        var node = try Fixture.node(name, cpus: 2, tags: site.map { ["site=\($0)"] } ?? [])
        node.measures.gatewayRTT = delay
        node.measures.bandwidth = rate
        return node
    }

    private func sources(
        _ device: Node, _ target: Node, _ others: [Node], rate: Double = 0, roundTrip: Double = 0
    ) -> [String] {
        Neighbourhood(of: target, device: device, rate: rate, roundTrip: roundTrip).sources(among: others)
            .map { "\($0.node): \($0.reason)" }
    }

    @Test("is told by the delay: the nearest first, and none that is as far as the device")
    func delay() throws {
        let device = try node("edge", delay: 0.020)
        let target = try node("cloud2", delay: 0.001)
        let others = [
            try node("cloud3", delay: 0.003), try node("cloud1", delay: 0.001), try node("edge2", delay: 0.019), target,
        ]
        #expect(
            sources(device, target, others) == [
                "cloud1: it is 2.0 ms away, this device 21.0 ms", "cloud3: it is 4.0 ms away, this device 21.0 ms",
            ])
        // Where the device's own link is there, it knows better.
        #expect(sources(device, target, others, roundTrip: 0.003).isEmpty)
    }

    @Test("is told by the site before all measures")
    func site() throws {
        let target = try node("cloud2", delay: 0.02, site: "b")
        let far = try node("cloud1", delay: 0.05, site: "b")
        let near = try node("edge", delay: 0.001)
        #expect(sources(near, target, [far]) == ["cloud1: it is at the same site, b"])
        #expect(sources(try node("edge", delay: 0.02, site: "b"), target, [try node("cloud1", delay: 0.001)]).isEmpty)
        #expect(sources(near, try node("cloud2", delay: 0.02, site: "c"), [far]).isEmpty)
    }

    @Test("is not guessed: a node whose delay is not known is not near")
    func unknown() throws {
        let target = try node("cloud2", delay: 0.001)
        #expect(sources(try node("edge", delay: 0.5), target, [try node("cloud1", delay: 0)]).isEmpty)
        #expect(sources(try node("edge", delay: 0), target, [try node("cloud1", delay: 0.001)]).count == 1)
    }

    @Test("is told by the rate where delays are alike")
    func rate() throws {
        let device = try node("edge", delay: 0.001)
        let target = try node("cloud2", delay: 0.001, rate: 50e6)
        let fast = try node("cloud1", delay: 0.001, rate: 40e6)
        #expect(sources(device, target, [fast], rate: 2e6).count == 1)
        #expect(sources(device, target, [fast], rate: 39e6).isEmpty)
        // Of a node that has carried nothing nothing is known.
        #expect(sources(device, target, [try node("cloud1", delay: 0.001)], rate: 1e6).isEmpty)
    }

    @Test("is no for nodes that are not ready")
    func state() throws {
        var other = try node("cloud1", delay: 0.001)
        other.state = .suspect
        #expect(sources(try node("edge", delay: 0.2), try node("cloud2", delay: 0.001), [other]).isEmpty)
    }
}
