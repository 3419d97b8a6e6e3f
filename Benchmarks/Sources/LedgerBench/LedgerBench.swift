import Fleet
import Foundation
import Ledger

/// Durable state updates per second: many writers against one, on the same file system in the same run.
///
///     swift run -c release LedgerBench [DIRECTORY] [SECONDS]
@main
struct LedgerBench {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let directory = arguments.first ?? FileManager.default.temporaryDirectory.path
        let seconds = arguments.dropFirst().first.flatMap(Double.init) ?? 3

        var single = 0.0
        for writers in [1, 8, 64, 256] {
            let rate = try await updatesPerSecond(writers: writers, seconds: seconds, in: directory)
            if writers == 1 { single = rate }
            let ratio = (rate / single * 10).rounded() / 10
            print("\(writers) writers: \(Int(rate)) durable updates/s, \(ratio) times one writer's")
        }
    }

    private static func updatesPerSecond(writers: Int, seconds: Double, in directory: String) async throws -> Double {
        let path = "\(directory)/ledger-bench-\(UUID())"
        defer {
            for suffix in ["", "-wal", "-shm", ".lock"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        }
        let ledger = try SQLiteLedger(path: path)
        let clock = ContinuousClock()
        let begin = clock.now
        let end = begin + .seconds(seconds)
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<writers {
                group.addTask {
                    var count = 0
                    var workload = try Self.workload()
                    while clock.now < end {
                        workload.version.sequence += 1
                        workload.state = count % 2 == 0 ? .running : .paused
                        count += try await ledger.apply([WorkloadUpdate(workload)], from: workload.target).count
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        let elapsed = (clock.now - begin) / .seconds(1)
        await ledger.close()
        return Double(count) / elapsed
    }

    private static func workload() throws -> Workload {
        try Workload(
            id: .random(), tenant: .main, origin: NodeID("edge1"), target: NodeID("cloud1"),
            version: Version(epoch: 1, sequence: 0), containerID: String(repeating: "c0ffee00", count: 8), name: "web",
            image: "busybox:latest", createdAt: 1, workKey: "0123456789abcdef")
    }
}
