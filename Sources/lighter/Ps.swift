import ArgumentParser
import Fleet
import Foundation
import Session

struct Ps: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the fleet's containers, and where each runs.",
        discussion: "`docker ps` shows one device's; this shows all of the fleet's.")

    @OptionGroup var client: OperatorOptions
    @OptionGroup var output: FormatOption

    @Flag(name: .shortAndLong, help: "Those that have ended, too, unless they were removed.")
    var all = false

    func run() async throws {
        let all = all
        let (listing, lost) = try await client.withClient { client in
            (try await client.listing(all: all), try await client.lostNodes())
        }
        let workloads = listing.workloads.sorted { $0.createdAt > $1.createdAt }
        try output.format.show(workloads.map { WorkloadRow($0, lost: lost) }) {
            Self.table(workloads, lost: lost, now: Date().timeIntervalSince1970)
        }
        if listing.omitted > 0 {
            // Not in the list, which scripts read.
            let hint = "lighter: \(listing.omitted) older ones are not shown\n"
            try FileHandle.standardError.write(contentsOf: Data(hint.utf8))
        }
    }

    static func table(_ workloads: [Workload], lost: Set<NodeID>, now: Double) -> String {
        var table = Table("CONTAINER ID", "NAME", "IMAGE", "STATE", "ORIGIN", "TARGET", "AGE", "WORKLOAD")
        for workload in workloads { table.add(workload, lost: lost, now: now) }
        return table.text
    }
}

/// A workload as `--format json` shows it: names and units here are a promise to scripts.
struct WorkloadRow: Encodable {
    let workload, containerID, name, image: String
    /// `unreachable` where its node is: what it does there is not known then.
    let state: String
    let tenant, origin, target, error: String
    let exitCode: Int32?
    let epoch: UInt64
    /// Seconds since 1970; 0 where it has not happened.
    let createdAt, startedAt, finishedAt: Double
    let decision: Decision?

    init(_ workload: Workload, lost: Set<NodeID>) {
        self.workload = workload.id.hex
        containerID = workload.containerID
        name = workload.name
        image = workload.image
        state = workload.isUnreachable(lost) ? Workload.unreachable : workload.state.rawValue
        tenant = workload.tenant.name
        origin = workload.origin.name
        target = workload.target.name
        error = workload.error
        exitCode = workload.exitCode
        epoch = workload.version.epoch
        createdAt = workload.createdAt
        startedAt = workload.startedAt
        finishedAt = workload.finishedAt
        decision = workload.decision
    }
}

extension OperatorClient {
    /// Nodes that cannot be reached. Who asks is told where no gateway knows that just now.
    func lostNodes() async throws(SessionError) -> Set<NodeID> {
        do {
            return Set(try await nodes().filter { $0.state == .unreachable }.map(\.id))
        } catch  where error.code == .unavailable {
            let note =
                "lighter: states are those on record; which nodes can be reached is not known: \(CommandFailure(error))\n"
            try? FileHandle.standardError.write(contentsOf: Data(note.utf8))
            return []
        }
    }
}

extension Table {
    fileprivate mutating func add(_ workload: Workload, lost: Set<NodeID>, now: Double) {
        let state = workload.isUnreachable(lost) ? Workload.unreachable : workload.shownState
        add(
            workload.containerID.isEmpty ? "-" : String(workload.containerID.prefix(12)), workload.name,
            workload.image, state, workload.origin.name, workload.target.name, age(of: workload.createdAt, now: now),
            String(workload.id.hex.prefix(12)))
    }
}

extension Workload {
    static let unreachable = "unreachable"

    /// Whether it was at work on a node that cannot be reached, so that nobody knows what it does.
    func isUnreachable(_ lost: Set<NodeID>) -> Bool {
        switch state {
        case .created, .running, .paused: lost.contains(target)
        case .pending, .exited, .removed: false
        }
    }

    /// Its state with what is known of its end. One whose process is gone, and of which nobody has said the code yet, is not
    /// shown as one that has ended well.
    var shownState: String {
        guard state == .exited else { return state.rawValue }
        guard let exitCode else { return "ending" }
        return "exited (\(exitCode))" + (error.isEmpty ? "" : ", \(error)")
    }
}

/// How long ago, in the largest unit that fits twice.
private func age(of time: Double, now: Double) -> String {
    guard time > 0, time.isFinite else { return "-" }
    let seconds = min(max(0, now - time), 1e12)
    for (unit, length) in [("d", 86_400.0), ("h", 3600), ("min", 60)] where seconds >= 2 * length {
        return "\(Int64(seconds / length)) \(unit)"
    }
    return "\(Int64(seconds)) s"
}
