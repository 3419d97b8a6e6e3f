import Foundation
import Glibc

/// CPU and memory of a process, as /proc tells them.
struct ProcessUsage {
    var cpuSeconds = 0.0
    var memoryBytes: Int64 = 0
    var peakMemoryBytes: Int64 = 0

    /// Nil when the process is gone.
    init?(pid: Int32) {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
        cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        for line in status.split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count == 3, let kilobytes = Int64(words[1]) else { continue }
            if words[0] == "VmRSS:" { memoryBytes = kilobytes * 1024 }
            if words[0] == "VmHWM:" { peakMemoryBytes = kilobytes * 1024 }
        }
    }

    /// What was used since `earlier`.
    func since(_ earlier: ProcessUsage, seconds: Double) -> SimulationReport.Usage {
        let used = cpuSeconds - earlier.cpuSeconds
        return .init(
            cpuSeconds: used, cores: seconds > 0 ? used / seconds : 0, memoryBytes: memoryBytes,
            peakMemoryBytes: peakMemoryBytes)
    }
}
