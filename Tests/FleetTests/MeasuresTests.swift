import Fleet
import Testing

@Suite("Which measures are news")
struct MeasuresTests {
    private func measures(_ change: (inout Measures) -> Void) -> Measures {
        var measures = Measures()
        (measures.cpu, measures.memory, measures.gatewayRTT, measures.diskFree) = (0.1, 0.2, 0.02, .gibibytes(100))
        (measures.cpuPressure, measures.bandwidth) = (0, 1e6)
        change(&measures)
        return measures
    }

    @Test(
        "A share by which no placement changes is alike, a little more slight, and what moves a decision apart",
        arguments: [
            (0.1, 0.119, 2, Measures.Nearness.alike), (0.1, 0.13, 2, .slight), (0.13, 0.1, 2, .slight),
            (0.1, 0.16, 2, .apart), (0.1, 0.9, 2, .apart),
            // Of many cores the same share is a lot; of half a core it is not.
            (0.1, 0.13, 16, .apart), (0.1, 0.13, 0.5, .slight), (0.1, 0.16, 0.5, .apart),
            // Where thresholds are, each hundredth may count.
            (0.74, 0.755, 2, .alike), (0.74, 0.765, 2, .apart), (0.48, 0.51, 2, .apart),
        ])
    func shares(told: Double, now: Double, cores: Double, expected: Measures.Nearness) {
        let (old, new) = (measures { $0.cpu = told }, measures { $0.cpu = now })
        #expect(new.nearness(to: old, cores: cores) == expected)
        #expect(new.areNear(old) == (expected == .alike))
        guard cores == 2 else { return }
        let (less, more) = (measures { $0.memory = told }, measures { $0.memory = now })
        #expect(more.nearness(to: less, cores: cores) == expected)
    }

    @Test(
        "A link that rests loses its rate without a word, one that carries more is news at once",
        arguments: [
            (1e6, 0.6e6, Measures.Nearness.alike), (1e6, 0.4e6, .slight), (1e6, 1e3, .slight), (1e6, 1.05e6, .alike),
            (1e6, 1.2e6, .apart), (100, 20_000, .alike), (100, 100_000, .apart), (0, 1e6, .apart), (0, 500, .alike),
        ])
    func bandwidth(told: Double, now: Double, expected: Measures.Nearness) {
        #expect(measures { $0.bandwidth = now }.nearness(to: measures { $0.bandwidth = told }) == expected)
    }

    @Test(
        "A delay counts from two milliseconds and a tenth on, and the first that is measured always",
        arguments: [
            (0.0005, 0.0022, Measures.Nearness.alike), (0.02, 0.0219, .alike), (0.2, 0.215, .alike),
            (0.02, 0.025, .slight),
            (0.02, 0.04, .apart), (0.04, 0.01, .apart), (0, 0.0005, .apart),
        ])
    func delay(told: Double, now: Double, expected: Measures.Nearness) {
        #expect(measures { $0.gatewayRTT = now }.nearness(to: measures { $0.gatewayRTT = told }) == expected)
    }

    @Test("More containers, less disk and another kind of measure are apart; pressure is never urgent")
    func others() {
        let told = measures { _ in }
        #expect(measures { $0.runningContainers = 1 }.nearness(to: told) == .apart)
        #expect(measures { $0.diskFree = .gibibytes(80) }.nearness(to: told) == .apart)
        #expect(measures { $0.diskFree = .gibibytes(95) }.nearness(to: told) == .alike)
        #expect(measures { $0.coreSpeed = 2 }.nearness(to: told) == .apart)
        #expect(measures { $0.cpuPressure = nil }.nearness(to: told) == .apart)
        #expect(measures { $0.cpuPressure = 0.05 }.nearness(to: told) == .alike)
        #expect(measures { $0.cpuPressure = 0.8 }.nearness(to: told) == .slight)
        // The worst of all counts.
        #expect(
            measures {
                $0.cpuPressure = 0.8
                $0.cpu = 0.5
            }.nearness(to: told) == .apart)
    }

    @Test("A snapshot takes in what a known node measured, and nothing of others")
    func snapshot() throws {
        let (edge, cloud) = (try NodeID("edge"), try NodeID("cloud"))
        var snapshot = FleetSnapshot(revision: 7, nodes: [Node(id: edge)])
        snapshot.note(measures { _ in }, of: edge)
        snapshot.note(measures { _ in }, of: cloud)
        #expect(snapshot[edge]?.measures == measures { _ in })
        #expect(snapshot.nodes.count == 1 && snapshot.revision == 7)
    }
}
