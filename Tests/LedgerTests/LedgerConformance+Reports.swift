import Fleet
import Ledger
import Testing

extension LedgerConformance {
    static let reports = [
        LedgerConformance("reports of several nodes have an outcome each, as if they had come one by one") { ledger in
            let ids = (0..<6).map { _ in WorkloadID.random() }
            let (cloud, edge, stranger) = (
                try Sample.node("cloud1"), try Sample.node("edge1"), try Sample.node("stranger")
            )
            _ = try await ledger.apply([Sample.update(ids[0], .running, sequence: 5)], from: cloud)
            let stale = try Sample.update(ids[0], .exited, sequence: 4)
            let twice = [
                try Sample.update(ids[1], .running, sequence: 2), try Sample.update(ids[1], .exited, sequence: 3),
            ]
            let foreign = try Sample.update(ids[2], .running, sequence: 1)
            let several = try ids[3...].map { try Sample.update($0, .running, sequence: 9) }
            let outcomes = await ledger.apply([
                ReportedUpdates([stale], from: cloud), ReportedUpdates([], from: cloud),
                ReportedUpdates(twice, from: cloud), ReportedUpdates([foreign], from: stranger),
                ReportedUpdates(several, from: edge),
            ])
            let applied = try outcomes.map { try $0.get().map(\.id) }
            #expect(applied == [[], [], [ids[1], ids[1]], [], Array(ids[3...])])
            #expect(try await ledger.workload(ids[0])?.state == .running)
            #expect(try await ledger.workload(ids[1])?.state == .exited)
            #expect(try await ledger.workload(ids[2]) == nil)
        },
        LedgerConformance("a workload that was removed and is reported again is merged with what is kept") { ledger in
            let (id, node) = (WorkloadID.random(), try Sample.node("cloud1"))
            let course: [(WorkloadState, UInt64)] = [(.created, 1), (.running, 2), (.removed, 5)]
            for (state, sequence) in course {
                _ = try await ledger.apply([Sample.update(id, state, sequence: sequence)], from: node)
            }
            let late = try await ledger.apply([Sample.update(id, .running, sequence: 4)], from: node)
            #expect(late.isEmpty)
            #expect(try await ledger.workload(id)?.state == .removed)
            let newer = try await ledger.apply([Sample.update(id, .running, epoch: 2, sequence: 6)], from: node)
            #expect(newer.count == 1)
            #expect(try await ledger.workload(id)?.version == Version(epoch: 2, sequence: 6))
        },
    ]
}
