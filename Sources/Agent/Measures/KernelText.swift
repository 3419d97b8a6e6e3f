import Fleet

/// Reads what Linux says in `/proc` and in control groups. Pure over text: what is not there or is not as documented is nil.
enum KernelText {
    /// Time of all processors since boot, in the kernel's ticks.
    struct ProcessorTime: Sendable, Hashable {
        var busy: UInt64
        var total: UInt64
    }

    /// The first line of `/proc/stat`. Idle and waiting for disks is not busy; taken by the hypervisor is.
    static func processorTime(_ stat: String) -> ProcessorTime? {
        guard let line = stat.split(separator: "\n", maxSplits: 1).first, line.hasPrefix("cpu ") else { return nil }
        // user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already.
        let fields = line.split(separator: " ").dropFirst().prefix(8).map { UInt64($0) }
        guard fields.count >= 4 else { return nil }
        var time = ProcessorTime(busy: 0, total: 0)
        for (index, field) in fields.enumerated() {
            guard let field else { return nil }
            let (total, overflow) = time.total.addingReportingOverflow(field)
            guard !overflow else { return nil }
            time.total = total
            if index != 3, index != 4 { time.busy += field }
        }
        return time
    }

    /// `/proc/meminfo`'s total and available memory.
    static func memory(_ meminfo: String) -> (total: ByteCount, available: ByteCount)? {
        guard let total = kibibytes("MemTotal:", in: meminfo), total > .zero,
            let available = kibibytes("MemAvailable:", in: meminfo)
        else { return nil }
        return (total, min(total, available))
    }

    /// The `some avg10` part of a pressure file, 0 to 1.
    static func pressure(_ text: String) -> Double? {
        for line in text.split(separator: "\n") where line.hasPrefix("some ") {
            for field in line.split(separator: " ") where field.hasPrefix("avg10=") {
                guard let percent = Double(field.dropFirst("avg10=".count)), percent.isFinite else { return nil }
                return min(1, max(0, percent / 100))
            }
        }
        return nil
    }

    /// A file that holds one number, or `max` or `-1` for none.
    static func number(_ text: String) -> Int64? {
        let word = text.prefix { $0 != "\n" && $0 != " " }
        return Int64(word)
    }

    /// The value of `key` in a file of `key value` lines (`cpu.stat`, `memory.stat`).
    static func value(_ key: String, in text: String) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix(key) {
            let rest = line.dropFirst(key.count)
            guard rest.first == " " else { continue }
            return UInt64(rest.dropFirst())
        }
        return nil
    }

    /// Cores of `cpu.max`: `QUOTA PERIOD`; nil for `max` or what cannot be read.
    static func coresOfMax(_ text: String) -> Double? {
        let words = text.split { $0 == " " || $0 == "\n" }
        guard let quota = words.first.flatMap({ Int64($0) }) else { return nil }
        return cores(quota: quota, period: words.count > 1 ? Int64(words[1]) : 100_000)
    }

    /// Cores of a quota in a period, both in microseconds; nil where there is no quota.
    static func cores(quota: Int64?, period: Int64?) -> Double? {
        guard let quota, let period, quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }

    private static func kibibytes(_ key: String, in text: String) -> ByteCount? {
        for line in text.split(separator: "\n") where line.hasPrefix(key) {
            let words = line.dropFirst(key.count).split(separator: " ")
            guard let count = words.first.flatMap({ Int64($0) }), (0...(1 << 50)).contains(count) else { return nil }
            return .kibibytes(count)
        }
        return nil
    }
}
