import ArgumentParser

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Shows the release.")

    func run() {
        print("lighter \(LighterVersion.text)")
    }
}
