import Fleet

/// Which files a node's share is read from: the machine's, or a control group's of either version.
struct MeterSource: Sendable {
    enum Place: Sendable, Hashable {
        case machine
        case group(ControlGroup)
    }

    /// CPU time so far.
    enum Processor: Sendable, Hashable {
        case machine(KernelText.ProcessorTime)
        case group(nanoseconds: UInt64)

        /// Busy part of the cores between two readings, 0 to 1; nil where they cannot be compared or the counter went back.
        func busy(since earlier: Processor, nanoseconds: UInt64, cores: Double) -> Double? {
            switch (earlier, self) {
            case (.machine(let old), .machine(let new)):
                guard new.total > old.total, new.busy >= old.busy else { return nil }
                return min(1, Double(new.busy - old.busy) / Double(new.total - old.total))
            case (.group(let old), .group(let new)):
                guard new >= old, nanoseconds > 0, cores > 0 else { return nil }
                return min(1, Double(new - old) / (Double(nanoseconds) * cores))
            default:
                return nil
            }
        }
    }

    private(set) var place: Place

    init(cgroup: String?, files: any MeterFiles) {
        guard let cgroup,
            let mounts = files.text(of: "/proc/mounts", limit: 1 << 20),
            let group = ControlGroup.find(files.resolved(cgroup) ?? cgroup, mounts: mounts)
        else {
            place = .machine
            return
        }
        place = .group(group)
        // A group that is not there would read as idle for ever.
        if processor(files) == nil { place = .machine }
    }

    func processor(_ files: any MeterFiles) -> Processor? {
        switch place {
        case .machine:
            return files.text(of: "/proc/stat", limit: 1024).flatMap(KernelText.processorTime).map(Processor.machine)
        case .group(.unified(let folder)):
            guard let text = files.text(of: "\(folder)/cpu.stat", limit: 4096),
                let microseconds = KernelText.value("usage_usec", in: text)
            else { return nil }
            return .group(nanoseconds: microseconds.multipliedReportingOverflow(by: 1000).partialValue)
        case .group(.perController(_, let cpuacct, _)):
            guard let cpuacct, let usage = number("\(cpuacct)/cpuacct.usage", files), usage >= 0 else { return nil }
            return .group(nanoseconds: UInt64(usage))
        }
    }

    /// The processors on line, less where the group or one above it has a quota.
    func cores(_ files: any MeterFiles) -> Double {
        let online = Double(files.onlineProcessors())
        let folder: String?
        switch place {
        case .machine: return online
        case .group(.unified(let path)): folder = path
        case .group(.perController(let cpu, _, _)): folder = cpu
        }
        var cores = online
        for folder in folder.map(Self.upwards) ?? [] {
            let quota: Double?
            if case .group(.unified) = place {
                quota = files.text(of: "\(folder)/cpu.max", limit: 256).flatMap(KernelText.coresOfMax)
            } else {
                quota = KernelText.cores(
                    quota: number("\(folder)/cpu.cfs_quota_us", files),
                    period: number("\(folder)/cpu.cfs_period_us", files))
            }
            if let quota { cores = min(cores, quota) }
        }
        return cores
    }

    /// The machine's memory, less where the group or one above it has a limit; nil where neither can be read.
    func memoryLimit(_ files: any MeterFiles) -> ByteCount? {
        let machine = files.text(of: "/proc/meminfo", limit: 8192).flatMap(KernelText.memory)?.total
        let folder: String?
        let file: String
        switch place {
        case .machine: return machine
        case .group(.unified(let path)): (folder, file) = (path, "memory.max")
        case .group(.perController(_, _, let path)): (folder, file) = (path, "memory.limit_in_bytes")
        }
        var limit = machine
        for folder in folder.map(Self.upwards) ?? [] {
            guard let number = number("\(folder)/\(file)", files), number > 0 else { continue }
            // Version 1 writes "none" as a number near 2^63.
            if number < 1 << 60 { limit = min(limit ?? ByteCount(number), ByteCount(number)) }
        }
        return limit
    }

    /// Used part of `capacity`, 0 to 1, without the file cache that the kernel would give back first.
    func memoryUsed(_ files: any MeterFiles, capacity: ByteCount) -> Double? {
        let usageFile: String
        let inactiveKey: String
        let folder: String
        switch place {
        case .machine:
            guard let memory = files.text(of: "/proc/meminfo", limit: 8192).flatMap(KernelText.memory) else {
                return nil
            }
            return 1 - Double(memory.available.bytes) / Double(memory.total.bytes)
        case .group(.unified(let path)):
            (folder, usageFile, inactiveKey) = (path, "memory.current", "inactive_file")
        case .group(.perController(_, _, let path)):
            guard let path else { return nil }
            (folder, usageFile, inactiveKey) = (path, "memory.usage_in_bytes", "total_inactive_file")
        }
        guard capacity > .zero, let usage = number("\(folder)/\(usageFile)", files), usage >= 0 else { return nil }
        let stat = files.text(of: "\(folder)/memory.stat", limit: 8192) ?? ""
        let inactive = KernelText.value(inactiveKey, in: stat) ?? 0
        return min(1, Double(max(0, usage - Int64(clamping: inactive))) / Double(capacity.bytes))
    }

    /// Where the pressure on `cpu`, `memory` or `io` is read; nil for a group of version 1, which has none of its own.
    func pressurePath(_ resource: String) -> String? {
        switch place {
        case .machine: "/proc/pressure/\(resource)"
        case .group(.unified(let folder)): "\(folder)/\(resource).pressure"
        case .group(.perController): nil
        }
    }

    private func number(_ path: String, _ files: any MeterFiles) -> Int64? {
        files.text(of: path, limit: 128).flatMap(KernelText.number)
    }

    /// A folder and all above it: a limit holds for everything below. Folders outside the hierarchy have no such files.
    private static func upwards(_ folder: String) -> [String] {
        var folders: [String] = []
        var rest = Substring(folder)
        while !rest.isEmpty, folders.count < 32 {
            folders.append(String(rest))
            rest = rest.lastIndex(of: "/").map { rest[..<$0] } ?? ""
        }
        return folders
    }
}
