import ArgumentParser

/// The command line: one file per verb.
@main
struct Lighter: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lighter",
        abstract: "Runs each container where it is best, behind an unmodified docker command.",
        discussion: """
            One machine:     lighter up
            A second one:    lighter token             (here)
                             lighter join HOST:PORT --token TOKEN   (there)
            Then:            docker --context lighter run …
            """,
        version: LighterVersion.text,
        subcommands: [
            Up.self, Down.self, GatewayCommand.self, Join.self, Token.self, Nodes.self, Ps.self, Explain.self,
            Images.self, Mounts.self, Move.self, Doctor.self, ComposeCommand.self, Simulate.self,
            VersionCommand.self,
        ]
    )
}
