package import Fleet

/// Measures the machine that it runs on, or one control group of it: call `sample` at a steady pace, such as each second.
///
/// Nothing here fails: what cannot be read is nil or zero, and `unavailable` names it for one line in the log. A sample reads
/// half a dozen small files, about 100 microseconds.
package struct NodeMeter: Sendable {
    package struct Configuration: Sendable {
        /// The group whose share is the node, as a folder of any mounted hierarchy or as `/proc/PID/cgroup` names it; nil for
        /// the whole machine.
        package var cgroup: String?
        /// A folder of the file system whose free space counts: the engine's data root.
        package var diskPath: String
        /// Samples over which CPU and memory are averaged.
        package var window: Int
        /// As `CoreSpeed.measured` gave it.
        package var coreSpeed: Double

        package init(
            cgroup: String? = nil, diskPath: String = "/var/lib/docker", window: Int = 5, coreSpeed: Double = 1
        ) {
            self.cgroup = cgroup
            self.diskPath = diskPath
            self.window = window
            self.coreSpeed = coreSpeed
        }
    }

    /// Cores and memory that the node may use; followed, since a quota can be changed while it runs.
    package private(set) var capacity = Resources.none
    /// Changes whenever the machine boots; empty where the kernel does not say.
    package let bootID: String
    /// What could not be measured so far, as a person reads it; grows only.
    package private(set) var unavailable: [String] = []

    /// Samples after which the capacity is read again.
    private static let samplesPerCapacity = 30
    /// Shorter than this between two samples, the kernel's clock ticks would be most of the figure.
    private static let leastInterval: UInt64 = 50_000_000

    private let configuration: Configuration
    private let source: MeterSource
    private let files: any MeterFiles
    private var samplesTaken = 0
    private var lastProcessor: (at: UInt64, reading: MeterSource.Processor)?
    private var cpu: SlidingWindow
    private var memory: SlidingWindow

    package init(_ configuration: Configuration = Configuration(), files: any MeterFiles = SystemFiles()) {
        self.configuration = configuration
        self.files = files
        cpu = SlidingWindow(size: configuration.window)
        memory = SlidingWindow(size: configuration.window)
        let boot = files.text(of: "/proc/sys/kernel/random/boot_id", limit: 128) ?? ""
        bootID = String(boot.prefix { $0 != "\n" })
        source = MeterSource(cgroup: configuration.cgroup, files: files)
        if let cgroup = configuration.cgroup, case .machine = source.place {
            unavailable.append("control group \(cgroup): the whole machine is measured instead")
        }
        if bootID.isEmpty { unavailable.append("boot id") }
        readCapacity()
        lastProcessor = source.processor(files).map { (files.monotonicNanoseconds(), $0) }
    }

    /// Measures now. Running containers, round trip and bandwidth are not the meter's to know: they stay zero.
    ///
    /// CPU is of the time since the last sample, averaged over the window; the first counts from the meter's making.
    package mutating func sample() -> Measures {
        samplesTaken += 1
        if samplesTaken % Self.samplesPerCapacity == 0 { readCapacity() }
        sampleProcessor()
        sampleMemory()
        var measures = Measures()
        measures.cpu = cpu.mean
        measures.memory = memory.mean
        measures.cpuPressure = pressure("cpu")
        measures.memoryPressure = pressure("memory")
        measures.ioPressure = pressure("io")
        measures.coreSpeed = configuration.coreSpeed
        if let free = files.diskFree(at: configuration.diskPath) {
            // Zero would read as "not measured"; a full disk is measured.
            measures.diskFree = max(ByteCount(1), free)
        } else {
            note("free disk of \(configuration.diskPath)")
        }
        return measures
    }

    private mutating func sampleProcessor() {
        let now = files.monotonicNanoseconds()
        guard let reading = source.processor(files) else { return note("CPU time") }
        guard let last = lastProcessor else {
            lastProcessor = (now, reading)
            return
        }
        guard now >= last.at + Self.leastInterval else { return }
        let elapsed = now - last.at
        if let busy = reading.busy(since: last.reading, nanoseconds: elapsed, cores: capacity.cpus) {
            cpu.add(busy, weight: Double(elapsed))
        }
        lastProcessor = (now, reading)
    }

    private mutating func sampleMemory() {
        guard let used = source.memoryUsed(files, capacity: capacity.memory) else { return note("memory") }
        memory.add(used)
    }

    private mutating func readCapacity() {
        capacity.cpus = source.cores(files)
        guard let memory = source.memoryLimit(files) else { return note("amount of memory") }
        capacity.memory = memory
    }

    private mutating func pressure(_ resource: String) -> Double? {
        guard let path = source.pressurePath(resource) else { return nil }
        guard let pressure = files.text(of: path, limit: 512).flatMap(KernelText.pressure) else {
            note("\(resource) pressure")
            return nil
        }
        return pressure
    }

    private mutating func note(_ measure: String) {
        if !unavailable.contains(measure) { unavailable.append(measure) }
    }
}
