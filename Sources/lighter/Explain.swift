import ArgumentParser
import Fleet
import Placement
import Session

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows why a container runs where it runs, with every number that counted.")

    @OptionGroup var client: OperatorOptions
    @OptionGroup var output: FormatOption

    @Argument(help: "A container's name or id, or a workload's id; the beginning of an id is enough.")
    var reference: String

    func validate() throws {
        guard !reference.trimmed.isEmpty else { throw ValidationError("Name a container: lighter explain web") }
    }

    func run() async throws {
        let reference = reference
        let (workload, lost) = try await client.withClient { client in
            (try await client.explain(reference), try await client.lostNodes())
        }
        try output.format.show(WorkloadRow(workload, lost: lost)) { Self.text(workload, lost: lost) }
    }

    static func text(_ workload: Workload, lost: Set<NodeID>) -> String {
        let name = workload.name.isEmpty ? workload.id.hex : workload.name
        let isUnreachable = workload.isUnreachable(lost)
        let target = "\(workload.target)" + (isUnreachable ? ", which is unreachable" : "")
        let place =
            workload.target == workload.origin
            ? "on \(target), where it was asked for" : "on \(target), asked for on \(workload.origin)"
        let why = workload.error.isEmpty ? "" : "\nIts engine says: \(workload.error)"
        let head = "\(name) (\(workload.image)) \(isUnreachable ? "was" : "is") \(workload.shownState) \(place)\(why)"
        guard let decision = workload.decision else {
            return head + "\nNo decision is recorded: the node has reported it, but the gateway did not place it."
        }
        return head + "\n\n" + decision.explanation().trimmed
    }
}
