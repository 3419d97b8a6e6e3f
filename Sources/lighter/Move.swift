import ArgumentParser
import DockerAPI

struct Move: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Has a container that runs elsewhere run at another node, or on this device.",
        discussion: """
            Its image goes ahead; then it is stopped, begun again there under its id and name, and its ports lead there. Of what it \
            wrote, only what is in bind mounts comes along.
            """)

    @Argument(help: "The container, by name or id.")
    var container: String
    @Option(name: .long, help: "The node, as `lighter nodes` shows it.")
    var to: String
    @OptionGroup var door: FrontDoorOptions

    func run() async throws {
        let answer = try await door.ask(
            "POST", "/lighter/move", body: ["Container": .string(container), "Node": .string(to)])
        print("\(answer["Name"]?.stringValue ?? container): from \(answer["From"]?.stringValue ?? "?") to \(to)")
    }
}
