import Fleet
import Foundation
import Ledger
import LedgerEtcd
import LighterTesting
import Testing

@Suite struct LedgerArchiveTests {
    /// Something of each kind, some of it used.
    private func fill(_ ledger: any Ledger) async throws {
        for number in 1...150 {
            var lease = try Sample.workload(Sample.id(number))
            if number % 3 == 0 { lease.decision = try Sample.decision(lease.id) }
            _ = try await ledger.place(lease)
        }
        _ = try await ledger.apply([Sample.update(Sample.id(7), .exited, sequence: 9)], from: Sample.node("cloud1"))
        try await ledger.upsertNode(Node(id: try Sample.node("edge1"), tags: ["gpu"]))
        for id in ["a1", "a2"] {
            try await ledger.addToken(StoredToken(id: id, secretHash: [1, 2], tenant: .main, expiresAt: 1e10))
        }
        _ = try await ledger.redeemToken(
            id: "a1", secretHash: [1, 2], node: Sample.node("edge2"), isRejoining: false, now: 50)
        try await ledger.learn("key", coreSeconds: 2.5)
        try await ledger.setSetting("fleet", "home")
    }

    private func lines(_ records: [LedgerRecord]) throws -> [LedgerRecord] {
        try records.map { try LedgerJSON.decode(LedgerRecord.self, from: LedgerJSON.encode($0)) }
    }

    private func carry(from: any LedgerHome, to: any LedgerHome) async throws {
        let records = try await from.open { (ledger: any Ledger) async throws -> [LedgerRecord] in
            try await fill(ledger)
            return try await (try #require(ledger as? any LedgerArchive)).records()
        }
        #expect(Set(records.map(\.key.kind)) == Set(LedgerRecord.Kind.allCases))
        let read = try lines(records)
        #expect(read == records)
        try await to.open { (ledger: any Ledger) async throws in
            let archive = try #require(ledger as? any LedgerArchive)
            try await archive.restore(read)
            #expect(try await Set(archive.records()) == Set(records))
            #expect(try await ledger.workload(Sample.id(3))?.decision == Sample.decision(Sample.id(3)))
            #expect(try await ledger.place(Sample.workload(Sample.id(1))).version.epoch == 2)
            await #expect { try await archive.restore(read) } throws: { ($0 as? LedgerError)?.code == .conflict }
        }
    }

    @Test("a ledger is the same after it was carried to another file")
    func files() async throws {
        try await withLedgerFile { path in
            try await carry(from: SQLiteHome(path: path), to: SQLiteHome(path: path + "2"))
        }
    }

    @Test(
        "a ledger is the same after it was carried to etcd, and back",
        .enabled(if: EtcdServer.missing == nil, "there is no etcd program; scripts/need etcd installs it"))
    func etcd() async throws {
        try await withLedgerFile { path in
            try await carry(from: SQLiteHome(path: path), to: EtcdHome())
            try await carry(from: EtcdHome(), to: SQLiteHome(path: path + "2"))
        }
    }
}
