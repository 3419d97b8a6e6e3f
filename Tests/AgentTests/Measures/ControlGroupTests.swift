import Testing

@testable import Agent

@Suite("Finding a control group")
struct ControlGroupTests {
    private static let version1 = """
        tmpfs /sys/fs/cgroup tmpfs rw 0 0
        cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
        cgroup /sys/fs/cgroup/cpuacct cgroup rw,relatime,cpuacct 0 0
        cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
        """
    private static let joined = """
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
        cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
        """
    private static let version2 = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"

    @Test(
        "Any hierarchy of version 1 leads to the group in each",
        arguments: [
            "/sys/fs/cgroup/cpu/edge", "/sys/fs/cgroup/cpu/edge/", "/sys/fs/cgroup/cpuacct/edge",
            "/sys/fs/cgroup/memory/edge", "/edge",
        ])
    func siblings(path: String) {
        #expect(
            ControlGroup.find(path, mounts: Self.version1)
                == .perController(
                    cpu: "/sys/fs/cgroup/cpu/edge", cpuacct: "/sys/fs/cgroup/cpuacct/edge",
                    memory: "/sys/fs/cgroup/memory/edge"))
    }

    @Test("Controllers that are mounted together share a folder")
    func together() {
        #expect(
            ControlGroup.find("/sys/fs/cgroup/memory/a/b", mounts: Self.joined)
                == .perController(
                    cpu: "/sys/fs/cgroup/cpu,cpuacct/a/b", cpuacct: "/sys/fs/cgroup/cpu,cpuacct/a/b",
                    memory: "/sys/fs/cgroup/memory/a/b"))
    }

    @Test("Version 2 is one folder", arguments: ["/sys/fs/cgroup/edge.slice", "/edge.slice"])
    func unified(path: String) {
        #expect(ControlGroup.find(path, mounts: Self.version2) == .unified("/sys/fs/cgroup/edge.slice"))
    }

    @Test("The unified hierarchy beside version 1 is told from the others")
    func hybrid() {
        #expect(
            ControlGroup.find("/sys/fs/cgroup/unified/x", mounts: Self.version1) == .unified("/sys/fs/cgroup/unified/x")
        )
    }

    @Test("A missing controller is nil")
    func partial() {
        #expect(
            ControlGroup.find("/sys/fs/cgroup/cpu/x", mounts: "c /sys/fs/cgroup/cpu cgroup rw,cpu 0 0")
                == .perController(cpu: "/sys/fs/cgroup/cpu/x", cpuacct: nil, memory: nil))
    }

    @Test(
        "Paths that no hierarchy holds, and garbage, are nil",
        arguments: [
            ("/sys/fs/cgroupx/edge", version2), ("edge", version2), ("", version2), ("/edge", ""),
            ("/edge", "a b\n\n c d e"),
            ("/sys/fs/cgroup/nothere/edge", "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0"),
        ])
    func nothing(path: String, mounts: String) { #expect(ControlGroup.find(path, mounts: mounts) == nil) }

    @Test("Escaped blanks in a mount are read")
    func escaped() {
        #expect(
            ControlGroup.find("/my groups/x", mounts: "c /my\\040groups cgroup2 rw 0 0") == .unified("/my groups/x"))
    }
}
