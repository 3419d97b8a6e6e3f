import Glibc
import LighterTesting
import NIOCore
import NIOPosix
import Testing

@testable import Engine

/// With processes of the test's own: the kernel is the thing that is tested.
@Suite("Watching for exits", .timeLimit(.minutes(1)), .enabled(if: ExitWatch.probe() == 0))
struct ExitWatchTests {
    /// Nobody else may reap it: the notice comes first, as when an engine's shim is slow.
    /// - Parameter script: begins by stopping itself where it waits for the test, and is returned once it has.
    private static func spawn(_ script: String) throws -> Int32 {
        var pid: pid_t = 0
        var words: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", script].map { (word: String) in strdup(word) } + [nil]
        defer { for word in words { free(word) } }
        try #require(posix_spawn(&pid, "/bin/sh", nil, nil, &words, nil) == 0)
        if script.hasPrefix(stop) { waitpid(pid, nil, WUNTRACED) }
        return pid
    }

    private static let stop = "kill -STOP $$"

    private static func reap(_ pid: Int32) {
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }

    /// What is told until the exit, which is the last.
    private static func notices(
        _ pid: Int32, memory: MemoryGroup? = nil, then begin: () throws -> Void = {}
    ) async throws -> [ExitWatch.Notice] {
        let watch = ExitWatch(loop: MultiThreadedEventLoopGroup.singleton.next())
        defer { watch.stop() }
        let (told, tell) = AsyncStream<ExitWatch.Notice>.makeStream()
        let outcome = watch.watch(pid: pid, containerID: nil, memory: memory) { notice in
            tell.yield(notice)
            if case .exited = notice { tell.finish() }
        }
        guard case .watching = outcome else {
            Issue.record("not watched: \(outcome)")
            return []
        }
        try begin()
        return await told.reduce(into: []) { $0.append($1) }
    }

    @Test(
        "An exit is told with its time and the code that an engine gives",
        arguments: [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137)] as [(String, Int32)])
    func code(script: String, code: Int32) async throws {
        let pid = try Self.spawn("\(Self.stop); \(script)")
        let begun = Double(time(nil))
        let notices = try await Self.notices(pid) { kill(pid, SIGCONT) }
        Self.reap(pid)
        #expect(notices.count == 1)
        guard case .exited(let time, let told) = notices.last else { return }
        #expect(told == code)
        #expect(time >= begun && time < begun + 60)
    }

    @Test("The status is had before the parent has asked for it, every time, and afterwards where the kernel keeps it")
    func status() throws {
        for _ in 0..<50 {
            let pid = try Self.spawn("\(Self.stop); exit 7")
            let descriptor = Pidfd.open(pid)
            try #require(descriptor >= 0)
            defer { close(descriptor) }
            #expect(Pidfd.waitStatus(descriptor, pid: pid) == nil, "it has not ended")
            kill(pid, SIGCONT)
            var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            try #require(poll(&polled, 1, 30_000) == 1)
            #expect(Pidfd.waitStatus(descriptor, pid: pid).map(Pidfd.exitCode) == 7)
            Self.reap(pid)
            // Nobody says it any more before Linux 6.15; a wrong one is never said.
            let late = Pidfd.waitStatus(descriptor, pid: pid).map(Pidfd.exitCode)
            #expect(late == nil || late == 7)
        }
    }

    @Test("A number that another process has now, or none, is no container's")
    func otherProcess() throws {
        let watch = ExitWatch(loop: MultiThreadedEventLoopGroup.singleton.next())
        defer { watch.stop() }
        let id = String(repeating: "c3", count: 32)
        #expect(watch.watch(pid: getpid(), containerID: id) { _ in } == .notVisible)
        let gone = try Self.spawn("exit 0")
        Self.reap(gone)
        #expect(watch.watch(pid: gone, containerID: nil) { _ in } == .notVisible)
        #expect(watch.watch(pid: 0, containerID: nil) { _ in } == .notVisible)
    }

    @Test("A cancelled watch tells nothing")
    func cancelled() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let watch = ExitWatch(loop: loop)
        defer { watch.stop() }
        let (told, tell) = AsyncStream<String>.makeStream()
        let (first, second) = (try Self.spawn(Self.stop), try Self.spawn(Self.stop))
        guard case .watching(let token) = watch.watch(pid: first, containerID: nil, told: { _ in tell.yield("first") })
        else {
            Issue.record("not watched")
            return
        }
        _ = watch.watch(pid: second, containerID: nil) { _ in tell.yield("second") }
        watch.cancel(token)
        for pid in [first, second] {
            kill(pid, SIGKILL)
            Self.reap(pid)
        }
        #expect(await told.first { _ in true } == "second")
    }

    @Test(
        "The status in /proc is read past any name, and only of a process that has ended",
        arguments: [
            ("1 (a) b) Z", Int32(768)), ("1 (sh) X", 768), ("1 (sh) S", nil), ("1 (sh", nil), ("", nil),
        ] as [(String, Int32?)])
    func statText(head: String, status: Int32?) {
        let line = head + String(repeating: " 0", count: 48) + " 768\n"
        #expect(Pidfd.status(stat: line) == status)
    }

    // MARK: - Want of memory

    @Test(
        "The count of kills is read from either version's file",
        arguments: [
            ("oom_kill_disable 0\nunder_oom 1\noom_kill 2\n", 2),
            ("low 0\nhigh 0\nmax 9\noom 3\noom_kill 1\noom_group_kill 0\n", 1),
            ("oom_kill_disable 0\nunder_oom 0\n", nil), ("", nil),
        ] as [(String, UInt64?)])
    func kills(text: String, count: UInt64?) {
        #expect(MemoryGroup.kills(text) == count)
    }

    @Test("What control groups can tell is known by their files")
    func hierarchies() throws {
        let scratch = try ScratchFolder()
        #expect(MemoryHierarchy.at(scratch.path) == .missing)
        func write(_ text: String, _ file: String) throws {
            let opened = try #require(fopen("\(scratch.path)/\(file)", "we"))
            fputs(text, opened)
            fclose(opened)
        }
        try write("cpu io pids\n", "cgroup.controllers")
        #expect(MemoryHierarchy.at(scratch.path) == .missing)
        try write("cpu io memory pids\n", "cgroup.controllers")
        #expect(MemoryHierarchy.at(scratch.path) == .events(version: 2))
        try #require(mkdir("\(scratch.path)/memory", 0o755) == 0)
        try write("", "memory/cgroup.event_control")
        #expect(MemoryHierarchy.at(scratch.path) == .hidden(version: 1))
        try write("oom_kill 0\n", "memory/memory.oom_control")
        #expect(MemoryHierarchy.at(scratch.path) == .events(version: 1))
    }

    @Test("A group that is not there is not watched; the exit is all the same")
    func noGroup() async throws {
        let pid = try Self.spawn(Self.stop)
        let memory = MemoryGroup(folder: "/nonexistent", isUnified: false)
        let notices = try await Self.notices(pid, memory: memory) { kill(pid, SIGKILL) }
        Self.reap(pid)
        #expect(notices.count == 1)
    }

    @Test(
        "A process that is killed for want of memory is told to be, before its exit", .enabled(if: TestGroup.isPossible)
    )
    func outOfMemory() async throws {
        let group = try TestGroup(limit: 16 << 20)
        defer { group.remove() }
        // `tail` keeps the last line of what it reads, and /dev/zero has only one.
        let pid = try Self.spawn("\(Self.stop); exec tail /dev/zero")
        try group.add(pid)
        let notices = try await Self.notices(pid, memory: group.group) { kill(pid, SIGCONT) }
        Self.reap(pid)
        #expect(notices.first == .outOfMemory)
        guard case .exited(_, let code) = notices.last else { return }
        #expect(code == 137)
        #expect(notices.count == 2)
    }

    @Test(
        "A process beside the first that is killed is told while the first goes on", .enabled(if: TestGroup.isPossible))
    func besideTheFirst() async throws {
        let group = try TestGroup(limit: 16 << 20)
        defer { group.remove() }
        let pid = try Self.spawn("\(Self.stop); (tail /dev/zero); kill -STOP $$")
        try group.add(pid)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let watch = ExitWatch(loop: loop)
        defer { watch.stop() }
        let (told, tell) = AsyncStream<ExitWatch.Notice>.makeStream()
        _ = watch.watch(pid: pid, containerID: nil, memory: group.group) { tell.yield($0) }
        kill(pid, SIGCONT)
        var iterator = told.makeAsyncIterator()
        #expect(await iterator.next() == .outOfMemory)
        kill(pid, SIGKILL)
        guard case .exited(_, 137) = await iterator.next() else {
            Issue.record("the first process's exit was not told")
            return
        }
        Self.reap(pid)
    }
}

/// A memory group of the test's own, where it may make one.
private struct TestGroup {
    let group: MemoryGroup

    private static let hierarchies = [
        MemoryGroup(folder: "/sys/fs/cgroup/memory", isUnified: false),
        MemoryGroup(folder: "/sys/fs/cgroup", isUnified: true),
    ]

    private static var hierarchy: MemoryGroup? {
        hierarchies.first { hierarchy in
            guard access(hierarchy.folder, W_OK) == 0 else { return false }
            guard hierarchy.isUnified else { return true }
            return Pidfd.text("\(hierarchy.folder)/cgroup.subtree_control")?.contains("memory") ?? false
        }
    }

    static var isPossible: Bool { hierarchy != nil }

    init(limit: Int) throws {
        let hierarchy = try #require(Self.hierarchy)
        let folder = "\(hierarchy.folder)/lighter-test-\(UInt32.random(in: 0 ... .max))"
        try #require(mkdir(folder, 0o755) == 0)
        group = MemoryGroup(folder: folder, isUnified: hierarchy.isUnified)
        try write("\(limit)", to: hierarchy.isUnified ? "memory.max" : "memory.limit_in_bytes")
    }

    func add(_ pid: Int32) throws { try write("\(pid)", to: "cgroup.procs") }

    func remove() { rmdir(group.folder) }

    private func write(_ text: String, to file: String) throws {
        let opened = fopen("\(group.folder)/\(file)", "we")
        try #require(opened != nil)
        guard let opened else { return }
        fputs(text, opened)
        try #require(fclose(opened) == 0)
    }
}
