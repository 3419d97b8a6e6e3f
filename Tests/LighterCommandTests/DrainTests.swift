import Fleet
import Testing

@testable import lighter

@Suite("What `lighter nodes drain` says and waits for")
struct DrainWatchTests {
    private static let start = ContinuousClock.now
    private static let web = WorkloadID.random()

    private func row(_ standing: DrainedWorkload.Standing, _ reason: String = "") throws -> DrainedWorkload {
        DrainedWorkload(id: Self.web, name: "web", origin: try NodeID("edge1"), standing: standing, reason: reason)
    }

    private func watch(_ left: [DrainedWorkload] = []) -> DrainWatch {
        DrainWatch(of: left, began: Self.start, limit: .seconds(600))
    }

    private func news(_ watch: inout DrainWatch, _ left: [DrainedWorkload]) -> [String] {
        watch.news(left, now: Self.start)
    }
    private func arrivals(_ watch: inout DrainWatch, _ known: [Workload], after seconds: Int) -> [String] {
        watch.arrivals(known, now: Self.start + .seconds(seconds))
    }
    private func isOver(_ watch: inout DrainWatch, _ left: [DrainedWorkload], now: ContinuousClock.Instant) -> Bool {
        watch.isOver(left, now: now)
    }

    @Test("Each change is told once, and what has gone is known")
    func news() throws {
        var watch = watch([try row(.unseen)])
        #expect(news(&watch, [try row(.unseen)]) == [])
        #expect(news(&watch, [try row(.moving)]) == ["web (of edge1): is moved"])
        #expect(news(&watch, [try row(.moving)]) == [])
        #expect(!watch.hasLeaving)
        #expect(news(&watch, []) == [])
        #expect(watch.hasLeaving)
        #expect(!isOver(&watch, [], now: Self.start))
    }

    @Test("What has left is moved once it runs elsewhere, or after a while where it did not run, and else has ended")
    func arrivals() throws {
        var workload = Workload(
            id: Self.web, tenant: .main, origin: try NodeID("edge1"), target: try NodeID("cloud2"), state: .pending,
            version: Version(epoch: 2, sequence: 0), name: "web", image: "busybox")
        var watch = watch([try row(.moving)])
        #expect(news(&watch, []) == [])
        #expect(arrivals(&watch, [workload], after: 29) == [])
        var patient = watch
        workload.state = .running
        #expect(arrivals(&watch, [workload], after: 29) == ["web (of edge1): moved to cloud2"])
        #expect(!watch.hasLeaving && isOver(&watch, [], now: Self.start))
        workload.state = .created
        #expect(arrivals(&patient, [workload], after: 31) == ["web (of edge1): moved to cloud2"])
        var ended = self.watch([try row(.moving)])
        #expect(news(&ended, []) == [])
        #expect(arrivals(&ended, [], after: 0) == ["web (of edge1): ended"])
    }

    @Test("What is known from the start is told, too")
    func first() throws {
        let left = [try row(.stays, "volume data is there")]
        var watch = watch(left)
        #expect(news(&watch, left) == ["web (of edge1): stays: volume data is there"])
        #expect(news(&watch, left) == [])
    }

    @Test(
        "It ends when nothing more is to be expected",
        arguments: [
            (DrainedWorkload.Standing.stays, 0, true), (.away, 0, true), (.unseen, 29, false), (.unseen, 31, true),
            (.moving, 31, false), (.moving, 601, true),
        ])
    func end(standing: DrainedWorkload.Standing, seconds: Int, isOver: Bool) throws {
        var watch = watch()
        #expect(self.isOver(&watch, [try row(standing)], now: Self.start + .seconds(seconds)) == isOver)
    }

    @Test("What could not be moved is waited for until it has been tried again, however it stands in between")
    func retries() throws {
        var watch = watch()
        #expect(isOver(&watch, [], now: Self.start))
        #expect(!isOver(&watch, [try row(.waits)], now: Self.start + .seconds(100)))
        #expect(!isOver(&watch, [try row(.moving)], now: Self.start + .seconds(120)))
        #expect(!isOver(&watch, [try row(.waits)], now: Self.start + .seconds(130)))
        #expect(isOver(&watch, [try row(.waits)], now: Self.start + .seconds(136)))
    }
}
