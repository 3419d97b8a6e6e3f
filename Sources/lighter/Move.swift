import ArgumentParser
import DockerAPI
import Fleet

struct Move: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Has a container that runs elsewhere run at another node, or on this device.",
        discussion: """
            Its image goes ahead; then it is stopped, begun again there under its id and name, and its ports lead there. Of what it \
            wrote, only what is in bind mounts comes along; with --with-state all does: its own files and its volumes travel while \
            it runs, then it is stopped, and only what has changed since travels before it is started there. If anything fails, it \
            runs on where it was.
            """)

    @Argument(help: "The container, by name or id.")
    var container: String
    @Option(name: .long, help: "The node, as `lighter nodes` shows it.")
    var to: String
    @Flag(name: .long, help: "Take its writable layer and its volumes along.")
    var withState = false
    @OptionGroup var door: FrontDoorOptions

    func run() async throws {
        var body: JSON = ["Container": .string(container), "Node": .string(to)]
        if withState { body["State"] = true }
        print(Self.line(try await door.ask("POST", "/lighter/move", body: body), container, to))
    }

    static func line(_ answer: JSON, _ container: String, _ node: String) -> String {
        let moved = "\(answer["Name"]?.stringValue ?? container): from \(answer["From"]?.stringValue ?? "?") to \(node)"
        guard let bytes = answer["Bytes"] else { return moved }
        let (ahead, last) = (bytes["Ahead"]?.intValue ?? 0, bytes["Last"]?.intValue ?? 0)
        guard answer["Answered"]?.boolValue ?? true else {
            let remedy = "\(node) cannot be heard now: it is started there as soon as that is possible"
            return "\(moved), with \(ByteCount(ahead + last)); \(remedy)"
        }
        guard let stopped = answer["Stopped"]?.intValue else { return "\(moved), with \(ByteCount(ahead + last))" }
        let hundredths = (stopped + 5_000_000) / 10_000_000
        let seconds = "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
        return "\(moved), stopped for \(seconds) s; \(ByteCount(ahead)) travelled before, \(ByteCount(last)) meanwhile"
    }
}
