import ArgumentParser

struct Images: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Which nodes have this device's images, what a move would cost, and what they keep.",
        discussion: "Asks the front door of this machine; what would travel is told before compression.",
        subcommands: [ImagesList.self, ImagesPin.self, ImagesUnpin.self], defaultSubcommand: ImagesList.self)
}
