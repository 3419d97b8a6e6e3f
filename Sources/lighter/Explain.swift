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
        let workload = try await client.withClient { try await $0.explain(reference) }
        try output.format.show(WorkloadRow(workload)) { Self.text(workload) }
    }

    private static func text(_ workload: Workload) -> String {
        let name = workload.name.isEmpty ? workload.id.hex : workload.name
        let place =
            workload.target == workload.origin
            ? "on \(workload.origin), where it was asked for" : "on \(workload.target), asked for on \(workload.origin)"
        let why = workload.error.isEmpty ? "" : "\nIts engine says: \(workload.error)"
        let head = "\(name) (\(workload.image)) is \(workload.shownState) \(place)\(why)"
        guard let decision = workload.decision else {
            return head + "\nNo decision is recorded: the node has reported it, but the gateway did not place it."
        }
        return head + "\n\n" + decision.explanation().trimmed
    }
}
