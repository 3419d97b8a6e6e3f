import Glibc
import LighterTesting
import NIOCore
import NIOPosix
import Testing

@testable import Engine

@Suite("Watching for starts")
struct StartWatchTests {
    private static let id = String(repeating: "b7", count: 32)
    private static let refusal = StartWatch.probe()
    private static let isPossible = ConditionTrait.enabled(
        if: refusal == nil, Comment(rawValue: "not on this machine: \(refusal.map { "\($0)" } ?? "")"))

    @Test("Jumps go to where their labels are placed")
    func jumps() {
        var program = BPFProgram()
        let end = program.label()
        program.jump(if: .r1, .equal, 7, to: end)
        program.move(.r0, value: -1)
        program.jump(to: end)
        program.place(end)
        program.exit()
        #expect(
            program.instructions == [
                0x0000_0007_0002_0115, 0xffff_ffff_0000_00b7, 0x0000_0000_0000_0005, 0x0000_0000_0000_0095,
            ])
    }

    @Test("Loads, stores and maps are put together as the kernel reads them")
    func instructions() {
        var program = BPFProgram()
        program.load(.double, .r7, .r1, 8)
        program.store(.word, .frame, -16, .r9)
        program.map(.r1, 5)
        program.call(.mapLookup)
        #expect(
            program.instructions == [
                0x0000_0000_0008_1779, 0x0000_0000_fff0_9a63, 0x0000_0005_0000_1118, 0, 0x0000_0001_0000_0085,
            ])
    }

    @Test(
        "The container is known by its group's path, whichever way an engine names it",
        arguments: [
            ("/docker/\(id)", id), ("/system.slice/docker-\(id).scope", id),
            ("/machine.slice/libpod-\(id).scope/container", id), ("/machine.slice/libpod-conmon-\(id).scope", nil),
            ("/user.slice/user-1000.slice", nil), ("/docker/\(id.prefix(63))", nil), ("", nil),
        ] as [(String, String?)])
    func paths(path: String, container: String?) {
        #expect(ContainerGroups.container(ofPath: path) == container)
        #expect(ContainerGroups.container(ofProcessGroups: "12:pids:/\n0::\(path)\n") == container)
    }

    @Test(
        "A program that the kernel does not take is refused with what its verifier says", isPossible)
    func verifier() throws {
        var program = BPFProgram()
        program.move(.r0, .r9)
        program.exit()
        let library = try BPFLibrary()
        let refusal = #expect(throws: KernelRefusal.self) { try library.load(program, "wrong") }
        #expect(refusal?.log.contains("R9 !read_ok") == true)
        #expect(refusal?.description.hasPrefix("the program wrong is refused") == true)
    }

    @Test("A tracepoint that the kernel does not have is named", isPossible)
    func tracepoint() throws {
        var program = BPFProgram()
        program.move(.r0, value: 0)
        program.exit()
        let library = try BPFLibrary()
        let loaded = try library.load(program, "nothing")
        defer { close(loaded) }
        let refusal = #expect(throws: KernelRefusal.self) { try library.attach(loaded, to: "no_such") }
        #expect(refusal?.description == "the tracepoint no_such is refused: No such file or directory")
    }

    /// What is told of the test's own processes, until `isLast` says so.
    private static func starts(
        during begin: () throws -> Void, until isLast: (StartWatch.Start) -> Bool
    ) async throws -> [StartWatch.Start] {
        let watch = StartWatch(loop: MultiThreadedEventLoopGroup.singleton.next())
        defer { watch.stop() }
        let (told, tell) = AsyncStream<StartWatch.Notice>.makeStream()
        watch.begin { tell.yield($0) }
        var found: [StartWatch.Start] = []
        for await notice in told {
            switch notice {
            case .following: try begin()
            case .refused(let refusal): throw refusal
            case .started(let start):
                found.append(start)
                if isLast(start) { return found }
            }
        }
        return found
    }

    @Test(
        "The first process of a namespace in a container's group is told of, with its time; its further ones are not",
        isPossible, .enabled(if: Group.isPossible))
    func start() async throws {
        let (first, last) = (try Group(), try Group())
        defer {
            first.remove()
            last.remove()
        }
        let begun = Double(time(nil))
        let starts = try await Self.starts {
            // Not the first process of its namespace, or in none of its own: not told.
            try first.run("/bin/true; unshare --pid --fork sh -c '/bin/true; /bin/true'")
            try last.run("unshare --pid --fork true")
        } until: {
            $0.containerID == last.id
        }
        let ours = starts.filter { [first.id, last.id].contains($0.containerID) }
        #expect(ours.map(\.containerID) == [first.id, last.id])
        for start in ours {
            #expect(start.pid > 1)
            #expect(start.time >= begun && start.time < begun + 60)
        }
    }

    @Test(
        "A group that is named as no container tells nothing, and the path of another time is forgotten",
        isPossible, .enabled(if: Group.isPossible))
    func otherGroups() async throws {
        let (other, last) = (try Group(name: "lighter-test-\(UInt32.random(in: 0 ... .max))"), try Group())
        defer {
            other.remove()
            last.remove()
        }
        let starts = try await Self.starts {
            try other.run("unshare --pid --fork true")
            try last.run("unshare --pid --fork true")
        } until: {
            $0.containerID == last.id
        }
        #expect(starts.count { $0.containerID == last.id } == 1)
    }
}

/// A control group of the test's own, where it may make one.
private struct Group {
    let id = (0..<8).map { _ in
        let hex = String(UInt32.random(in: 0 ... .max), radix: 16)
        return String(repeating: "0", count: 8 - hex.count) + hex
    }.joined()
    private let folder: String

    private static var root: String? {
        ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].first {
            access("\($0)/cgroup.procs", W_OK) == 0
        }
    }

    static var isPossible: Bool { root != nil }

    /// - Parameter name: nil for a container's.
    init(name: String? = nil) throws {
        folder = "\(try #require(Self.root))/\(name ?? id)"
        try #require(mkdir(folder, 0o755) == 0)
    }

    /// Runs a script that enters the group first, and waits for its end.
    func run(_ script: String) throws {
        var pid: pid_t = 0
        let text = "echo $$ > \(folder)/cgroup.procs && \(script)"
        var words: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", text].map { (word: String) in strdup(word) } + [nil]
        defer { for word in words { free(word) } }
        try #require(posix_spawn(&pid, "/bin/sh", nil, nil, &words, environ) == 0)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        try #require(status == 0)
    }

    func remove() { rmdir(folder) }
}
