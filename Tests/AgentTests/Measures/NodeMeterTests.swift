import Fleet
import Testing

@testable import Agent

@Suite("Measuring a node")
struct NodeMeterTests {
    private static let machine = [
        "/proc/sys/kernel/random/boot_id": "a5e331a5-5778-4ee6-b8cb-b1867864b21e\n",
        "/proc/stat": "cpu  100 0 0 900 0 0 0 0 0 0\n",
        "/proc/meminfo": "MemTotal:       8388608 kB\nMemAvailable:   6291456 kB\n",
        "/proc/pressure/cpu": "some avg10=50.00 avg60=0 avg300=0 total=0\n",
        "/proc/pressure/memory": "some avg10=1.00 avg60=0 avg300=0 total=0\n",
        "/proc/pressure/io": "some avg10=2.00 avg60=0 avg300=0 total=0\n",
    ]
    private static let version1Group = [
        "/proc/mounts": """
        cgroup /cg/cpu cgroup rw,cpu 0 0
        cgroup /cg/cpuacct cgroup rw,cpuacct 0 0
        cgroup /cg/memory cgroup rw,memory 0 0
        """,
        "/cg/cpu/edge/cpu.cfs_quota_us": "50000\n",
        "/cg/cpu/edge/cpu.cfs_period_us": "100000\n",
        "/cg/cpuacct/edge/cpuacct.usage": "7000000000\n",
        "/cg/memory/edge/memory.limit_in_bytes": "1073741824\n",
        "/cg/memory/edge/memory.usage_in_bytes": "536870912\n",
        "/cg/memory/edge/memory.stat": "cache 1\ninactive_file 5\ntotal_inactive_file 268435456\n",
    ]
    private static let version2Group = [
        "/proc/mounts": "cgroup2 /cg cgroup2 rw 0 0\n",
        "/cg/edge/cpu.max": "150000 100000\n",
        "/cg/edge/cpu.stat": "usage_usec 7000000\nuser_usec 1\n",
        "/cg/edge/memory.max": "1073741824\n",
        "/cg/edge/memory.current": "536870912\n",
        "/cg/edge/memory.stat": "anon 1\ninactive_file 268435456\n",
        "/cg/edge/cpu.pressure": "some avg10=10.00 avg60=0 avg300=0 total=0\n",
        "/cg/edge/memory.pressure": "some avg10=0.00 avg60=0 avg300=0 total=0\n",
        "/cg/edge/io.pressure": "some avg10=0.00 avg60=0 avg300=0 total=0\n",
    ]

    private func close(_ a: Double, _ b: Double) -> Bool { (a - b).magnitude < 1e-9 }

    @Test("A whole machine: every measure is there")
    func wholeMachine() {
        let files = FakeMeterFiles(Self.machine)
        var meter = NodeMeter(.init(coreSpeed: 1.5), files: files)
        #expect(meter.bootID == "a5e331a5-5778-4ee6-b8cb-b1867864b21e")
        #expect(meter.capacity == Resources(cpus: 2, memory: .gibibytes(8)))
        files["/proc/stat"] = "cpu  160 0 0 940 0 0 0 0 0 0\n"
        files.turn(seconds: 1)
        let measures = meter.sample()
        #expect(close(measures.cpu, 0.6))
        #expect(close(measures.memory, 0.25))
        #expect(measures.cpuPressure == 0.5)
        #expect(measures.memoryPressure == 0.01)
        #expect(measures.ioPressure == 0.02)
        #expect(measures.diskFree == .gibibytes(10))
        #expect(measures.coreSpeed == 1.5)
        #expect(meter.unavailable.isEmpty)
    }

    @Test("A group of version 1: its own time over its quota, its own memory without cold cache")
    func version1() {
        let files = FakeMeterFiles(Self.machine.merging(Self.version1Group) { $1 })
        var meter = NodeMeter(.init(cgroup: "/cg/cpu/edge"), files: files)
        #expect(meter.capacity == Resources(cpus: 0.5, memory: .gibibytes(1)))
        files["/cg/cpuacct/edge/cpuacct.usage"] = "7250000000\n"
        files.turn(seconds: 1)
        let measures = meter.sample()
        #expect(close(measures.cpu, 0.5))
        #expect(close(measures.memory, 0.25))
        #expect(measures.cpuPressure == nil)
        #expect(meter.unavailable.isEmpty)
    }

    @Test("A group of version 2, with its own pressure")
    func version2() {
        let files = FakeMeterFiles(Self.machine.merging(Self.version2Group) { $1 })
        var meter = NodeMeter(.init(cgroup: "/cg/edge"), files: files)
        #expect(meter.capacity == Resources(cpus: 1.5, memory: .gibibytes(1)))
        files["/cg/edge/cpu.stat"] = "usage_usec 8500000\n"
        files.turn(seconds: 2)
        let measures = meter.sample()
        #expect(close(measures.cpu, 0.5))
        #expect(close(measures.memory, 0.25))
        #expect(measures.cpuPressure == 0.1)
    }

    @Test("Without quota or limit a group has the machine's, and a limit above it holds for it")
    func unlimited() {
        let files = FakeMeterFiles(Self.machine.merging(Self.version1Group) { $1 })
        files["/cg/cpu/edge/cpu.cfs_quota_us"] = "-1\n"
        files["/cg/memory/edge/memory.limit_in_bytes"] = "9223372036854771712\n"
        #expect(
            NodeMeter(.init(cgroup: "/edge"), files: files).capacity == Resources(cpus: 2, memory: .gibibytes(8)))
        files["/cg/cpu/cpu.cfs_quota_us"] = "125000\n"
        files["/cg/cpu/cpu.cfs_period_us"] = "100000\n"
        files["/cg/memory/memory.limit_in_bytes"] = "2147483648\n"
        #expect(
            NodeMeter(.init(cgroup: "/edge"), files: files).capacity == Resources(cpus: 1.25, memory: .gibibytes(2)))
    }

    @Test("A link to a hierarchy leads to it")
    func link() {
        let files = FakeMeterFiles(
            Self.machine.merging(Self.version1Group) { $1 }, links: ["/cg/alias/edge": "/cg/cpuacct/edge"])
        let meter = NodeMeter(.init(cgroup: "/cg/alias/edge"), files: files)
        #expect(meter.capacity.cpus == 0.5)
    }

    @Test("CPU is averaged over the window and leaves it again")
    func window() {
        let files = FakeMeterFiles(Self.machine.merging(Self.version1Group) { $1 })
        var meter = NodeMeter(.init(cgroup: "/edge", window: 2), files: files)
        var usage: UInt64 = 7_000_000_000
        var seen: [Double] = []
        for share in [1.0, 0, 0, 0.5] {
            usage += UInt64(share * 0.5e9)
            files["/cg/cpuacct/edge/cpuacct.usage"] = "\(usage)\n"
            files.turn(seconds: 1)
            seen.append(meter.sample().cpu)
        }
        #expect(zip(seen, [1.0, 0.5, 0, 0.25]).allSatisfy(close))
    }

    @Test("A burst over the quota reads as 1, a counter that went back as nothing, two samples at once as one")
    func odd() {
        let files = FakeMeterFiles(Self.machine.merging(Self.version1Group) { $1 })
        var meter = NodeMeter(.init(cgroup: "/edge", window: 1), files: files)
        files["/cg/cpuacct/edge/cpuacct.usage"] = "9000000000\n"
        files.turn(seconds: 1)
        #expect(meter.sample().cpu == 1)
        files["/cg/cpuacct/edge/cpuacct.usage"] = "1000000000\n"
        files.turn(seconds: 1)
        #expect(meter.sample().cpu == 1)
        files["/cg/cpuacct/edge/cpuacct.usage"] = "1250000000\n"
        #expect(meter.sample().cpu == 1)
        files.turn(seconds: 1)
        #expect(close(meter.sample().cpu, 0.5))
    }

    @Test("A changed quota is followed")
    func changedQuota() {
        let files = FakeMeterFiles(Self.machine.merging(Self.version1Group) { $1 })
        var meter = NodeMeter(.init(cgroup: "/edge"), files: files)
        files["/cg/cpu/edge/cpu.cfs_quota_us"] = "100000\n"
        for _ in 0..<30 { _ = meter.sample() }
        #expect(meter.capacity.cpus == 1)
    }

    @Test("A machine without any file gives zeros and says what is missing, once")
    func nothing() {
        let files = FakeMeterFiles()
        files.disk = nil
        var meter = NodeMeter(.init(cgroup: "/edge", diskPath: "/var/lib/docker"), files: files)
        files.turn(seconds: 1)
        _ = meter.sample()
        let first = meter.unavailable
        let measures = meter.sample()
        #expect(measures == Measures())
        #expect(meter.unavailable == first)
        #expect(first.count == 9, "\(first)")
        #expect(first.contains { $0.contains("/edge") })
        #expect(first.contains("free disk of /var/lib/docker"))
    }

    @Test("A group that does not exist leaves the whole machine measured, and says so")
    func missingGroup() {
        let files = FakeMeterFiles(Self.machine.merging(Self.version1Group) { $1 })
        let meter = NodeMeter(.init(cgroup: "/nothere"), files: files)
        #expect(meter.capacity.cpus == 2)
        #expect(meter.unavailable == ["control group /nothere: the whole machine is measured instead"])
    }

    @Test("A full disk is told from one that was not measured")
    func fullDisk() {
        let files = FakeMeterFiles(Self.machine)
        files.disk = .zero
        var meter = NodeMeter(files: files)
        #expect(meter.sample().diskFree == ByteCount(1))
    }

    @Test("This machine can be measured")
    func thisMachine() {
        var meter = NodeMeter(.init(diskPath: "/"))
        let measures = meter.sample()
        #expect(meter.capacity.cpus >= 0.01)
        #expect(meter.capacity.memory > .zero)
        #expect((0...1).contains(measures.cpu) && (0...1).contains(measures.memory))
        #expect(measures.memory > 0)
        #expect(measures.diskFree > .zero)
        #expect(SystemFiles().text(of: "/does/not/exist", limit: 10) == nil)
        #expect(SystemFiles().text(of: "/", limit: 10) == nil)
    }

    @Test("The speed of a core is a sane number, and the calculation is what it was")
    func coreSpeed() {
        #expect((0.01...100).contains(CoreSpeed.measured()))
        #expect(CoreSpeed.run(3, from: 1) == CoreSpeed.run(2, from: CoreSpeed.run(1, from: 1)))
        #expect(CoreSpeed.run(1, from: 1) != CoreSpeed.run(1, from: 3))
    }
}
