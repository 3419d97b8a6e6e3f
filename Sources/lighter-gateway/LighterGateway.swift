import ArgumentParser

@main
struct LighterGateway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lighter-gateway",
        abstract: "The control plane of a Lighter fleet: who is in it, what runs where, and the way between nodes.",
        subcommands: [Serve.self, Initialise.self, MakeToken.self, LedgerCommand.self],
        defaultSubcommand: Serve.self)
}
