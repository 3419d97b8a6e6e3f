import ArgumentParser
import Authority
import Gateway

struct Initialise: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Makes the fleet's authority and an operator's credentials, unless they are there.")

    @OptionGroup var options: DataOption

    @Option(help: "The name of a new fleet.")
    var fleet = "lighter"

    func run() async throws {
        let directory = try GatewayDirectory(options.data, founding: fleet)
        let authority = try directory.authority(fleet: fleet)
        print("fleet:    \(authority.fleet)")
        print("operator: \(directory.operatorPath)")
    }
}
