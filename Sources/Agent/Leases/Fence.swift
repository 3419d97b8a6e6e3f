import Engine
import Fleet
import Glibc
import Session

/// The second, tiny process beside lighterd: it stops exclusive work when its lease has run out, whatever has become of lighterd.
///
/// It reads the lease table and nothing else, talks with nobody, and sleeps until the next lease would end. It ends when there
/// has been nothing to watch for a while. Whoever ends it by SIGTERM has the work stopped first: what nobody watches must
/// not run.
package struct Fence {
    /// How long it stays when there is nothing to watch.
    private static let lingering: UInt64 = 10_000_000_000
    /// How soon it looks again at what does not end.
    private static let persistence: UInt64 = 5_000_000
    /// What an engine may take to answer.
    private static let enginePatience: Int32 = 2_000

    private let folder: LeaseFolder
    private let table: LeaseTable
    private let groups: ContainerGroups
    private let timer: Int32
    private let wake: Int32
    private let signals: Int32
    /// Of which the engine has been asked, and the log told.
    private var said: Set<String> = []
    private var idleSince: UInt64?

    /// The whole of the process.
    ///
    /// - Parameters:
    ///   - path: the folder.
    ///   - forget: gives back what the program's start has brought into memory.
    /// - Returns: its exit code.
    package static func main(_ path: String, forgetting forget: () -> Void) -> Int32 {
        prepare()
        forget()
        // From here on what is touched stays, as what is done in earnest later is done once at the beginning.
        Kernel.keepInMemory()
        let folder = LeaseFolder(path: path)
        guard folder.lock() else { return 0 }
        guard var fence = Fence(folder) else {
            log("cannot watch \(path): \(String(cString: strerror(errno)))")
            return 1
        }
        fence.run()
        return 0
    }

    private init?(_ folder: LeaseFolder) {
        self.folder = folder
        guard let table = LeaseTable(path: folder.tablePath, engine: nil, boot: LeaseTable.thisBoot) else { return nil }
        self.table = table
        groups = .here
        wake = folder.wakeEnd()
        timer = Kernel.bootTimer()
        signals = Kernel.terminations()
        guard wake >= 0, timer >= 0, signals >= 0 else { return nil }
        // What is done in earnest later is in memory then.
        _ = groups.kill([])
    }

    /// Lets go of all that is lighterd's, and asks for what helps to be in time; what is not allowed is done without.
    private static func prepare() {
        for descriptor in 3..<4096 { close(Int32(descriptor)) }
        let null = open("/dev/null", O_RDWR)
        if null >= 0 { dup2(null, STDIN_FILENO) }
        if null > STDERR_FILENO { close(null) }
        signal(SIGPIPE, SIG_IGN)
        signal(SIGHUP, SIG_IGN)
        _ = chdir("/")
        setpriority(__priority_which_t(0), 0, -20)
        TextFile.append("-1000", to: "/proc/self/oom_score_adj", truncating: true)
    }

    // MARK: - Watching

    private mutating func run() {
        // Whoever has started it reads this.
        write(STDOUT_FILENO, "\n", 1)
        close(STDOUT_FILENO)
        while true {
            let now = BootClock.now()
            let entries = table.entries
            let due = entries.filter { $0.isDue(at: now) }
            if !due.isEmpty { stop(due) }
            if entries.allSatisfy(\.isDone) {
                let since = idleSince ?? now
                idleSince = since
                if now &- since >= Self.lingering, leave() { return }
            } else {
                idleSince = nil
            }
            let next = table.entries.map { $0.isFenced ? ($0.isDone ? .max : now + Self.persistence) : $0.deadline }
                .min()
            wait(until: min(next ?? .max, idleSince.map { $0 + Self.lingering } ?? .max))
            if Kernel.isSignalled(signals) {
                stopAll()
                return
            }
        }
    }

    /// - Returns: false when something has come meanwhile, and nobody else watches it.
    private func leave() -> Bool {
        folder.unlock()
        return table.entries.allSatisfy(\.isDone) || !folder.lock()
    }

    private func wait(until time: UInt64) {
        Kernel.set(timer, to: time)
        var polled = [timer, wake, signals].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        poll(&polled, nfds_t(polled.count), -1)
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(wake, &bytes, bytes.count) > 0 {}
    }

    // MARK: - Stopping

    private mutating func stop(_ due: [LeaseTable.Entry]) {
        var fenced: [LeaseTable.Entry] = []
        for entry in due where table.fence(entry) {
            folder.shut(entry.workload, epoch: entry.epoch)
            fenced.append(table[entry.slot] ?? entry)
        }
        let containers = Set(fenced.compactMap(\.containerID))
        let findings = groups.isUsable ? groups.kill(containers) : [:]
        let news = containers.subtracting(said)
        for entry in fenced {
            guard let id = entry.containerID else {
                table.done(entry)
                continue
            }
            if findings[id]?.outcome == .gone { table.done(entry) }
            if news.contains(id), findings[id]?.ran ?? true {
                Self.log(
                    "the lease of workload \(entry.workload) of \(entry.origin) has run out: killed \(id.prefix(12))")
            }
        }
        said = said.intersection(containers).union(news)
        // Where the kernel cannot be told, or does not do it at once, the engine is; and of what was not found, which may run in
        // groups that are not shown here.
        let left = news.filter { findings[$0]?.outcome != .gone || findings[$0]?.ran == false }
        if !left.isEmpty { askEngine(left, isOnlyWay: findings.isEmpty, of: fenced) }
    }

    private func askEngine(_ containers: Set<String>, isOnlyWay: Bool, of entries: [LeaseTable.Entry]) {
        // The engine may hang; the next lease to end does not wait for it.
        let next = table.entries.filter { !$0.isFenced }.map(\.deadline).min() ?? .max
        let now = BootClock.now()
        let left = Int32(clamping: next > now ? (next - now) / 1_000_000 : 0)
        let stopped = EngineSocket.kill(containers, at: table.engine, within: min(left, Self.enginePatience))
        guard isOnlyWay else { return }
        for entry in entries where entry.containerID.map(stopped.contains) ?? false { table.done(entry) }
    }

    private mutating func stopAll() {
        let entries = table.entries.filter { !$0.isDone }
        guard !entries.isEmpty else { return }
        Self.log("told to end: stopping what nobody would watch")
        for _ in 0..<400 {
            let left = entries.compactMap { table[$0.slot] }.filter { !$0.isDone }
            guard !left.isEmpty else { return }
            stop(left)
            Kernel.pause(nanoseconds: Self.persistence)
        }
    }

    /// A line on stderr, if somebody takes it: nobody is waited for.
    private static func log(_ text: String) {
        var polled = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        guard poll(&polled, 1, 0) == 1, polled.revents & Int16(POLLOUT) != 0 else { return }
        let line = "lighterd fence: \(text)\n"
        write(STDERR_FILENO, line, line.utf8.count)
    }
}
