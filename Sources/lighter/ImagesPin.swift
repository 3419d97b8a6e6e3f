import ArgumentParser
import DockerAPI

struct ImagesPin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pin", abstract: "Keeps an image at other nodes, however little room is left for images there.",
        discussion: "A node that is named and lacks the image is sent it first.")

    @Argument(help: "The image, by name or id.")
    var image: String
    @Option(name: .long, help: "Only at this node (default: at each that has the image).")
    var node: String?
    @OptionGroup var door: FrontDoorOptions

    func run() async throws { print(try await Pinning(image: image, node: node, isPinned: true).ask(door)) }
}

struct ImagesUnpin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unpin", abstract: "Lets nodes give an image up again when they need the room.")

    @Argument(help: "The image, by name or id.")
    var image: String
    @Option(name: .long, help: "Only at this node (default: at each that has the image).")
    var node: String?
    @OptionGroup var door: FrontDoorOptions

    func run() async throws { print(try await Pinning(image: image, node: node, isPinned: false).ask(door)) }
}

/// What is asked of a front door about pins, and what it answers in words.
struct Pinning {
    let image: String
    let node: String?
    let isPinned: Bool

    /// A line for each node.
    func ask(_ door: FrontDoorOptions) async throws -> String {
        let body: JSON = [
            "Image": .string(image), "Node": node.map { .string($0) } ?? .null, "Pinned": .bool(isPinned),
        ]
        return lines(try await door.ask("POST", "/lighter/pin", body: body))
    }

    func lines(_ answer: JSON) -> String {
        (answer["Nodes"]?.arrayValue ?? []).map { row in
            let node = row["Node"]?.stringValue ?? ""
            let isOurs = row["Brought"]?.boolValue ?? false
            return isOurs
                ? "\(node): \(isPinned ? "pinned" : "not pinned any more")" : "\(node): its owner's, stays anyway"
        }.joined(separator: "\n")
    }
}
