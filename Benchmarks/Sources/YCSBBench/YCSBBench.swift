import Etcd
import Fleet
import Foundation
import Ledger
import LedgerEtcd
import NIOCore
import NIOPosix
import Synchronization

/// YCSB's workload A on the ledgers: half reads, half updates, of records that are drawn by Zipf's law.
///
///     YCSBBench DIRECTORY SECONDS etcd://HOST:PORT
///
/// Prints operations a second of SQLite, of etcd through our ledger and of etcd bare: the same record, read and put by itself.
@main
struct YCSBBench {
    private static let threads = 32
    private static let records = 1000

    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard arguments.count == 3, let seconds = Double(arguments[1]) else {
            print("YCSBBench DIRECTORY SECONDS etcd://HOST:PORT")
            exit(64)
        }
        let location = try EtcdLocation(arguments[2])
        report("SQLite", try await sqlite(in: arguments[0], seconds))
        report("etcd, ours", try await etcd(location, seconds))
        report("etcd, bare", try await bare(location, seconds))
    }

    private static func report(_ what: String, _ rate: Double) { print("\(what): \(Int(rate)) operations/s") }

    // MARK: - Subjects

    private static func sqlite(in directory: String, _ seconds: Double) async throws -> Double {
        let path = "\(directory)/ycsb-\(UUID())"
        defer {
            for suffix in ["", "-wal", "-shm", ".lock"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        }
        let ledger = try SQLiteLedger(path: path)
        let rate = try await measure(ledger, seconds)
        await ledger.close()
        return rate
    }

    private static func etcd(_ location: EtcdLocation, _ seconds: Double) async throws -> Double {
        let client = try client(location)
        defer { client.close() }
        let leader = Leader(address: "localhost:1", authority: "none")
        guard let leadership = try await EtcdElection(client: client).campaign(as: leader) else {
            throw EtcdError(.configuration, "another gateway leads there: give the benchmark an etcd of its own")
        }
        return try await EtcdLedger.lead(with: leadership, on: client) { try await measure($0, seconds) }
    }

    private static func bare(_ location: EtcdLocation, _ seconds: Double) async throws -> Double {
        let client = try client(location)
        defer { client.close() }
        let value = try JSONEncoder().encode(try workload(0).containerID) + Data(count: 300)
        for record in 0..<records { try await put(value, record, client) }
        return try await run(seconds) { record, isRead in
            guard isRead else { return try await put(value, record, client) }
            var request = EtcdRangeRequest()
            request.key = Data("bare/\(record)".utf8)
            _ = try await client.range(request)
        }
    }

    private static func put(_ value: Data, _ record: Int, _ client: EtcdClient) async throws {
        var request = EtcdPutRequest()
        request.key = Data("bare/\(record)".utf8)
        request.value = value
        _ = try await client.put(request)
    }

    private static func client(_ location: EtcdLocation) throws -> EtcdClient {
        try EtcdClient(EtcdClient.Configuration(location: location), group: MultiThreadedEventLoopGroup.singleton)
    }

    // MARK: - The load

    private static func measure(_ ledger: some Ledger, _ seconds: Double) async throws -> Double {
        let workloads = try (0..<records).map(workload)
        for workload in workloads { _ = try await ledger.apply([WorkloadUpdate(workload)], from: workload.target) }
        let sequence = Atomic<UInt64>(1)
        return try await run(seconds) { record, isRead in
            var workload = workloads[record]
            guard !isRead else {
                guard try await ledger.workload(workload.id) != nil else {
                    throw LedgerError(.corrupt, "a record is gone")
                }
                return
            }
            workload.version.sequence = sequence.wrappingAdd(1, ordering: .relaxed).newValue
            workload.state = workload.version.sequence.isMultiple(of: 2) ? .running : .paused
            _ = try await ledger.apply([WorkloadUpdate(workload)], from: workload.target)
        }
    }

    /// Operations a second of so many tasks, each with one operation after the other.
    private static func run(
        _ seconds: Double, _ operation: @escaping @Sendable (_ record: Int, _ isRead: Bool) async throws -> Void
    ) async throws -> Double {
        let zipf = Zipf(count: records)
        let clock = ContinuousClock()
        let begin = clock.now
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for thread in 0..<threads {
                group.addTask {
                    var random = SplitMix(state: UInt64(thread + 1))
                    var count = 0
                    while clock.now - begin < .seconds(seconds) {
                        try await operation(zipf.draw(&random), Bool.random(using: &random))
                        count += 1
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        return Double(count) / ((clock.now - begin) / .seconds(1))
    }

    private static func workload(_ number: Int) throws -> Workload {
        try Workload(
            id: .random(), tenant: .main, origin: NodeID("edge1"), target: NodeID("cloud1"), state: .running,
            version: Version(epoch: 1, sequence: 1), containerID: String(repeating: "c0ffee00", count: 8),
            name: "web-\(number)", image: "busybox:latest", createdAt: 1, workKey: "0123456789abcdef")
    }
}

/// Numbers below `count`, the smaller the likelier, as YCSB draws them: by the power 0.99.
private struct Zipf: Sendable {
    private let sums: [Double]

    init(count: Int) {
        var sum = 0.0
        sums = (1...count).map { rank in
            sum += 1 / pow(Double(rank), 0.99)
            return sum
        }
    }

    func draw(_ random: inout SplitMix) -> Int {
        let point = Double.random(in: 0..<(sums.last ?? 1), using: &random)
        var (low, high) = (0, sums.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] > point { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// The same numbers in every run.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
