import ArgumentParser
import Fleet
import Foundation
import Session

struct NodesDrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Has a node take no new work, and moves off it what can be moved.",
        discussion: """
            The devices whose services run there move them, one after the other each. What has volumes there, may not be begun \
            elsewhere or is a job stays; so do the node's own containers. With --with-state services take along what they wrote, \
            their own files and their volumes, as with `lighter move --with-state`. Ends when nothing more happens: with exit code 0 \
            where nothing of others is left there, 1 otherwise. `lighter nodes resume` lets it take work again.
            """)

    @Argument(help: "The node, as `lighter nodes` shows it.")
    var node: String
    @Flag(name: .long, help: "Take along what the services wrote, and their volumes.")
    var withState = false
    @Flag(name: .long, help: "Do not wait for what is moved.")
    var noWait = false
    @Option(name: .long, help: "Seconds to wait at most.")
    var timeout: Double = 600
    @OptionGroup var client: OperatorOptions

    func validate() throws {
        guard timeout > 0, timeout.isFinite else {
            throw ValidationError("--timeout \(timeout): use a number of seconds above 0")
        }
    }

    func run() async throws {
        let (name, withState, noWait, timeout) = (node, withState, noWait, timeout)
        let left = try await client.withClient { client in
            let begun = try await client.drain(name, .drain, withState: withState)
            print("\(name): takes no new work")
            if noWait { return begun.left }
            var watch = DrainWatch(of: begun.left, began: .now, limit: .seconds(timeout))
            while true {
                let (node, left) = try await client.drain(name, .look)
                guard node.drainedSince != nil else {
                    throw CommandFailure("\(name) takes work again: somebody has resumed it")
                }
                for line in watch.news(left, now: .now) { print(line) }
                if watch.hasLeaving {
                    for line in watch.arrivals(try await client.workloads(all: true), now: .now) { print(line) }
                }
                if watch.isOver(left, now: .now) { return left }
                try await Task.sleep(for: .milliseconds(500))
            }
        }
        guard !left.isEmpty, !noWait else {
            if !noWait { print("\(name) is drained") }
            return
        }
        print("\(name): \(left.count) of others' containers still there:")
        for row in left { print("  \(row.label): \(row.account)") }
        throw ExitCode.failure
    }
}

struct NodesResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Lets a node that was drained take work again; nothing moves back by that.")

    @Argument(help: "The node, as `lighter nodes` shows it.")
    var node: String
    @OptionGroup var client: OperatorOptions

    func run() async throws {
        let name = node
        _ = try await client.withClient { try await $0.drain(name, .resume) }
        print("\(name): takes work again")
    }
}

/// What has been said of a node that is drained, and whether there is more to come.
struct DrainWatch {
    /// For how long a connected device may say nothing of a container, and one that was moved may not run yet.
    static let patience = Duration.seconds(30)
    /// For how long one that could not be moved is waited for: its device tries it again after ten seconds.
    static let retries = Duration.seconds(35)

    let began: ContinuousClock.Instant
    let limit: Duration
    private var last: [WorkloadID: DrainedWorkload] = [:]
    private var leaving: [WorkloadID: (row: DrainedWorkload, since: ContinuousClock.Instant)] = [:]
    private var isFirst = true
    private var waitsSince: [WorkloadID: ContinuousClock.Instant] = [:]

    init(of left: [DrainedWorkload], began: ContinuousClock.Instant, limit: Duration) {
        last = Self.byID(left)
        self.began = began
        self.limit = limit
    }

    /// Whether any is not at the node any more and does not run elsewhere yet.
    var hasLeaving: Bool { !leaving.isEmpty }

    /// A line for each of which there is something new to say.
    mutating func news(_ left: [DrainedWorkload], now: ContinuousClock.Instant) -> [String] {
        defer { isFirst = false }
        let lines = left.filter { $0.standing != .unseen && (last[$0.id] != $0 || isFirst) }
            .map { "\($0.label): \($0.account)" }
        let current = Self.byID(left)
        for row in last.values where current[row.id] == nil { leaving[row.id] = (row, now) }
        for id in current.keys { leaving[id] = nil }
        last = current
        return lines
    }

    /// A line for each that has come where it went, or has ended.
    /// - Parameter known: all workloads, those that have ended too.
    mutating func arrivals(_ known: [Workload], now: ContinuousClock.Instant) -> [String] {
        let there = Dictionary(known.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var lines: [String] = []
        for (id, (row, since)) in leaving {
            guard let workload = there[id], workload.state.holdsCapacity else {
                lines.append("\(row.label): ended")
                leaving[id] = nil
                continue
            }
            // One that did not run does not start.
            guard [.running, .paused].contains(workload.state) || since.duration(to: now) > Self.patience else {
                continue
            }
            lines.append("\(row.label): moved to \(workload.target)")
            leaving[id] = nil
        }
        return lines.sorted()
    }

    private static func byID(_ rows: [DrainedWorkload]) -> [WorkloadID: DrainedWorkload] {
        Dictionary(rows.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Whether nothing more is to be expected of what is left.
    mutating func isOver(_ left: [DrainedWorkload], now: ContinuousClock.Instant) -> Bool {
        if began.duration(to: now) > limit { return true }
        guard leaving.isEmpty else { return false }
        return left.allSatisfy { row in
            switch row.standing {
            case .stays, .away: return true
            case .unseen: return began.duration(to: now) > Self.patience
            case .waits:
                let since = waitsSince[row.id] ?? now
                waitsSince[row.id] = since
                return since.duration(to: now) > Self.retries
            case .moving: return false
            }
        }
    }
}

extension DrainedWorkload {
    var label: String { "\(name.isEmpty ? String(id.hex.prefix(12)) : name) (of \(origin))" }

    var account: String {
        switch standing {
        case .unseen: "its device has not said what becomes of it; is its lighterd an older one?"
        case .moving: "is moved"
        case .waits: "could not be moved yet: \(reason)"
        case .stays: "stays: \(reason)"
        case .away: reason
        }
    }
}
